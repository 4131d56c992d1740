#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    nearshelf_fuzz::ranker(bytes);
});
