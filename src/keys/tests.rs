use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::release::{PublicKey, Root, RootPin};

const NOW: u64 = 1_800_000_000;
const YEAR: u64 = 365 * 24 * 60 * 60;

fn passphrase() -> Passphrase {
    Passphrase::given("correct horse")
}

/// Signs with what is in the folder, and these.
fn by<'a>(keys: &'a [KeySource], passphrase: &'a Passphrase) -> Signing<'a> {
    Signing { keys, passphrase, expires: NOW + YEAR }
}

fn init(folder: &KeyFolder, root: &[NamedKey], root_keys: usize, threshold: usize) -> NextRoot {
    let init = Init { name: "shop".to_owned(), root: root.to_vec(), root_keys, threshold, head: Vec::new() };
    folder.init(&init, &by(&[], &passphrase())).unwrap()
}

fn folder() -> (TempDir, KeyFolder) {
    let dir = TempDir::new().unwrap();
    let folder = KeyFolder::new(dir.path().join("keys"));
    (dir, folder)
}

fn digits(root: &Root, role: RoleName) -> Vec<String> {
    let role = if role == RoleName::Root { &root.root } else { &root.head };
    role.keys.iter().map(|key| key.to_string()[..8].to_owned()).collect()
}

#[test]
fn a_shop_gets_keys_and_changes_them_and_clients_follow() {
    let (_dir, folder) = folder();
    let first = init(&folder, &[], 2, 2);
    assert!(first.lacks.is_empty() && first.made.len() == 3, "{first}");
    assert!(first.to_string().contains(&format!("publicKey    \"1.{}\"", first.pin.digest)), "{first}");
    let before = folder.newest().unwrap();
    assert_eq!((before.version, before.root.threshold, RootPin::of(&before)), (1, 2, first.pin));
    let bytes = std::fs::read(&first.path).unwrap();
    let phrase = passphrase();
    let signing = by(&[], &phrase);

    let second = folder.rotate(RoleName::Head, None, &[], &signing).unwrap();
    let next = folder.newest().unwrap();
    assert!(second.lacks.is_empty() && next.root == before.root && next.head != before.head, "{second}");

    let [old, other] = &digits(&next, RoleName::Root)[..] else { panic!("{next:?}") };
    let third = folder.rotate(RoleName::Root, Some(old), &[], &signing).unwrap();
    let rotated = folder.newest().unwrap();
    assert!(third.lacks.is_empty() && digits(&rotated, RoleName::Root).contains(other), "{third}");
    assert!(!digits(&rotated, RoleName::Root).contains(old));

    let gone = digits(&rotated, RoleName::Head).remove(0);
    let fourth = folder.revoke(&gone, &[], &signing).unwrap();
    assert!(fourth.lacks.is_empty() && fourth.made.len() == 1, "one key stays: {fourth}");
    assert!(!digits(&folder.newest().unwrap(), RoleName::Head).contains(&gone));

    folder.renew(&Signing { expires: NOW + 2 * YEAR, ..signing }).unwrap();
    let all = folder.roots().unwrap();
    assert_eq!(all.iter().map(|root| root.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(all[4].expires, NOW + 2 * YEAR);
    assert_eq!(std::fs::read(&first.path).unwrap(), bytes, "what was published never changes");
    let again = folder
        .init(&Init { name: "shop".into(), root: Vec::new(), root_keys: 1, threshold: 1, head: Vec::new() }, &signing);
    assert!(matches!(again, Err(KeyError::Exists { .. })));
}

#[test]
fn keys_on_several_machines_sign_one_after_the_other() {
    let ((_one, here), (_two, there)) = (folder(), folder());
    // Each machine has a root key of its own; this one only knows the public half of the other.
    let other = there.make(RoleName::Root, "correct horse").unwrap();
    let public = NamedKey::Public(other.0.public_key());
    let first = init(&here, &[public], 2, 2);
    assert_eq!(first.path, here.path().join("root/1.pending.json"), "{first}");
    assert_eq!((first.lacks.len(), first.lacks[0].found, first.lacks[0].expected), (1, 1, 2));
    assert!(matches!(here.roots(), Err(KeyError::NoRoot { .. })));

    let elsewhere = there.path().join("root.json");
    std::fs::copy(&first.path, &elsewhere).unwrap();
    let (phrase, key) = (passphrase(), [KeySource::File(other.1)]);
    let signed = KeyFolder::sign(&elsewhere, &key, &phrase).unwrap();
    assert_eq!(signed.path, elsewhere, "{signed}");
    std::fs::copy(&elsewhere, &first.path).unwrap();
    let whole = KeyFolder::sign(&first.path, &[], &phrase).unwrap();
    assert!(whole.lacks.is_empty() && whole.path.ends_with("root/1.json") && !first.path.exists(), "{whole}");

    let waiting = here.renew(&by(&[], &phrase)).unwrap();
    assert_eq!(waiting.lacks.len(), 2, "the root before and the new one: {waiting}");
    assert!(matches!(here.renew(&by(&[], &phrase)), Err(KeyError::Exists { .. })), "one at a time");
    let stranger = there.make(RoleName::Root, "correct horse").unwrap();
    let wrong = KeyFolder::sign(&waiting.path, &[KeySource::File(stranger.1)], &phrase);
    assert!(matches!(wrong, Err(KeyError::Unknown { .. })), "{wrong:?}");
    let whole = KeyFolder::sign(&waiting.path, &key, &phrase).unwrap();
    assert!(whole.lacks.is_empty() && here.newest().unwrap().version == 2);
}

#[test]
fn roots_that_do_not_follow_each_other_are_refused() {
    let (_dir, folder) = folder();
    init(&folder, &[], 1, 1);
    let phrase = passphrase();
    folder.renew(&by(&[], &phrase)).unwrap();
    folder.renew(&by(&[], &phrase)).unwrap();
    let path = |version| folder.root_path(version);
    std::fs::rename(path(2), path(9)).unwrap();
    assert!(matches!(folder.roots(), Err(KeyError::Gap { found: 3, expected: 2, .. })));
    std::fs::rename(path(9), path(2)).unwrap();
    let (_other, stranger) = self::folder();
    init(&stranger, &[], 1, 1);
    stranger.renew(&by(&[], &phrase)).unwrap();
    std::fs::copy(stranger.root_path(2), path(2)).unwrap();
    let error = folder.roots().unwrap_err();
    assert!(matches!(error, KeyError::Chain { version: 2, .. }), "{error}");
    assert!(error.to_string().contains("0 of the keys that count"), "{error}");
}

#[test]
fn roles_that_cannot_be_are_refused_before_a_key_is_made() {
    let (_dir, folder) = folder();
    for (root_keys, threshold) in [(2, 3), (1, 0), (17, 1)] {
        let init = Init { name: "shop".into(), root: Vec::new(), root_keys, threshold, head: Vec::new() };
        let error = folder.init(&init, &by(&[], &passphrase())).unwrap_err();
        assert!(matches!(error, KeyError::Role { .. }), "{error}");
    }
    let init = Init { name: "shop".into(), root: Vec::new(), root_keys: 1, threshold: 1, head: Vec::new() };
    let short = folder.init(&init, &by(&[], &Passphrase::given("short"))).unwrap_err();
    assert!(matches!(short, KeyError::BadPassphrase { .. }), "{short}");
    assert!(!folder.path().exists());
}

/// RFC 8032, section 7.1, test 2.
const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

#[test]
fn a_private_key_is_read_from_digits_and_pem_and_nothing_else() {
    let read = |text: &str| pem::read("here", text, || Ok("correct horse".to_owned())).map(Signer::of);
    let expected: PublicKey = PUBLIC.parse().unwrap();
    let signer = read(SEED).unwrap();
    assert_eq!(signer.public_key(), expected);
    let mut seed = [0; 32];
    assert!(crate::hex::parse(SEED, &mut seed));
    let text = pem::write(&seed, "correct horse").unwrap();
    assert_eq!(read(&text).unwrap().public_key(), expected);
    let wrong = pem::read("here", &text, || Ok("wrong horse".to_owned())).unwrap_err();
    assert!(matches!(wrong, KeyError::WrongPassphrase { .. }), "{wrong}");
    for cut in [0, 10, 40, text.len() / 2, text.len() - 5] {
        let error = read(&text[..cut]).map(|signer| signer.public_key()).unwrap_err();
        assert!(!error.to_string().contains("correct"), "{error}");
    }
    assert!(read(&SEED.to_uppercase()).is_err() && read("").is_err());
    assert_eq!(format!("{signer:?} {:?}", passphrase()), format!("Signer({PUBLIC}) Passphrase"));
}

#[test]
fn keys_are_named_by_place_and_a_secret_that_is_named_is_not_repeated() {
    let parse = |text: &str| text.parse::<KeySource>();
    assert_eq!(parse("env:KEY").unwrap(), KeySource::Variable("KEY".into()));
    assert_eq!(parse("command:kms sign me").unwrap(), KeySource::Command("kms sign me".into()));
    assert_eq!(parse("file:a:b").unwrap(), KeySource::File("a:b".into()));
    assert_eq!(parse("keys/a.pem").unwrap(), KeySource::File("keys/a.pem".into()));
    assert_eq!(PUBLIC.parse::<NamedKey>().unwrap(), NamedKey::Public(PUBLIC.parse().unwrap()));
    for text in ["", "env:", "command:", SEED] {
        let error = parse(text).unwrap_err().to_string();
        assert!(!error.contains(&SEED[..9]), "{error}");
    }
    let missing = KeySource::Variable("NEARSHELF_NO_SUCH_KEY".into()).open(&passphrase()).unwrap_err();
    assert!(missing.to_string().contains("NEARSHELF_NO_SUCH_KEY"), "{missing}");
}

#[cfg(unix)]
#[test]
fn a_command_signs_and_what_it_says_is_checked() {
    let dir = TempDir::new().unwrap();
    let mut seed = [0; 32];
    assert!(crate::hex::parse(SEED, &mut seed));
    let here = pem::read("here", SEED, || Ok(String::new())).map(Signer::of).unwrap();
    let signature = here.sign(b"message").unwrap().bytes;
    let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let script = |signed: &str, more: &str| {
        let path = dir.path().join("kms.sh");
        let text = format!("case $1 in public-key) echo {PUBLIC};; sign) cat >/dev/null; {more} echo {signed};; esac");
        std::fs::write(&path, text).unwrap();
        format!("command:sh '{}'", path.display()).parse::<KeySource>().unwrap()
    };
    let signer = script(&digits, "").open(&passphrase()).unwrap();
    assert_eq!(signer.public_key(), here.public_key());
    assert_eq!(signer.sign(b"message").unwrap().bytes, signature);
    for (signed, more) in [(&digits[..], ""), ("0f", ""), (&digits[..], "exit 3;")] {
        let message: &[u8] = if signed.len() > 2 && more.is_empty() { b"another" } else { b"message" };
        let error = script(signed, more).open(&passphrase()).unwrap().sign(message).unwrap_err();
        assert!(matches!(error, KeyError::Command { .. }), "{error}");
    }
    let none = "command:false".parse::<KeySource>().unwrap().open(&passphrase()).unwrap_err();
    assert!(matches!(none, KeyError::Command { .. }), "{none}");
}

/// OpenSSL reads the files, and says that signatures are right; and what OpenSSL writes is read.
#[test]
fn openssl_agrees() {
    let openssl = |args: &[&str]| Command::new("openssl").args(args).stdin(Stdio::null()).output();
    if openssl(&["version"]).is_err() {
        println!("skipped: no openssl on the PATH");
        return;
    }
    let (dir, folder) = folder();
    init(&folder, &[], 1, 1);
    let root = folder.newest().unwrap();
    let key = root.root.keys[0];
    let file = folder.private_path(RoleName::Root, &key);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let said = |args: &[&str]| {
        let output = openssl(args).unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let public =
        said(&["pkey", "-in", file.to_str().unwrap(), "-passin", "pass:correct horse", "-pubout", "-outform", "DER"]);
    assert_eq!(&public[public.len() - 32..], key.as_bytes());
    std::fs::write(path("public"), &public).unwrap();
    std::fs::write(path("message"), root.message()).unwrap();
    std::fs::write(path("signature"), root.signatures()[0].bytes).unwrap();
    let verify = [
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-keyform",
        "DER",
        "-inkey",
        &path("public"),
        "-in",
        &path("message"),
    ];
    said(&[&verify[..], &["-sigfile", &path("signature")]].concat());
    std::fs::write(path("message"), b"another").unwrap();
    assert!(!openssl(&[&verify[..], &["-sigfile", &path("signature")]].concat()).unwrap().status.success());

    for extra in [&[][..], &["-aes-256-cbc", "-pass", "pass:correct horse"]] {
        let made = path("made");
        said(&[&["genpkey", "-algorithm", "ed25519", "-out", &made][..], extra].concat());
        let signer = KeySource::File(made.clone().into()).open(&passphrase()).unwrap();
        let public = said(&["pkey", "-in", &made, "-passin", "pass:correct horse", "-pubout", "-outform", "DER"]);
        assert_eq!(&public[public.len() - 32..], signer.public_key().as_bytes());
    }
}
