//! Several requests at the same time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many.
const AT_ONCE: usize = 6;

/// Does something with each of some items, several at once; the results in the order of the items. After an error nothing more is begun.
///
/// # Errors
/// The first error.
pub(super) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, has_failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        while has_failed.load(Ordering::Relaxed) == 0 {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            let result = work(item);
            has_failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(items.len()) {
            scope.spawn(worker);
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_the_first_error_counts() {
        let items: Vec<usize> = (0..100).collect();
        let squares = each(&items, |item| Ok::<_, usize>(item * item)).unwrap();
        assert_eq!(squares, items.iter().map(|item| item * item).collect::<Vec<_>>());
        let failed = each(&items, |item| if item % 7 == 6 { Err(*item) } else { Ok(*item) });
        assert!(failed.is_err_and(|item| item % 7 == 6));
        assert_eq!(each(&[], |item: &usize| Ok::<_, ()>(*item)), Ok(Vec::new()));
    }
}
