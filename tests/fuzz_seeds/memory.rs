//! How much memory a call takes: an allocator that counts, thread by thread.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait, and hands everything to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that the thread holds, and the most that it held: what it frees for others makes the first negative.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn held(more: usize, less: usize) {
    // Threads that end free what they had after their own counts are gone.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = now + more as isize;
        held.set((now - less as isize, most.max(now)));
    });
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is the system allocator's, with what it was asked for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        held(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        held(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        held(0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while the one is copied to the other.
        held(size, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What a call gives, and the most bytes that it held at once beyond what its thread held before.
pub(crate) fn peak_of<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let (before, _) = HELD.get();
    HELD.set((before, before));
    let result = call();
    let (_, most) = HELD.get();
    (result, (most - before).max(0) as usize)
}

#[test]
fn memory_is_counted_while_it_is_held() {
    let (kept, peak) = peak_of(|| {
        drop(vec![1_u8; 1000]);
        let mut grown = vec![1_u8; 300];
        grown.reserve_exact(400);
        grown
    });
    assert!((1000..1100).contains(&peak), "{peak}");
    let ((), peak) = peak_of(|| drop(kept));
    assert_eq!(peak, 0);
}
