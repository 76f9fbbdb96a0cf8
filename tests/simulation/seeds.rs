//! Many runs, on all processors; a failing one is told by its seed.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Futures nest deeply, and an unoptimized build's take much room.
const STACK: usize = 64 << 20;

/// Plays each of `count` runs, or the one that `AMPXA_SEED` names; panics with the first that fail.
pub fn each(test: &str, count: u64, play: impl Fn(u64) + Sync) {
    let only = std::env::var("AMPXA_SEED")
        .ok()
        .map(|seed| seed.parse::<u64>().expect("a number"));
    let (next, end) = match only {
        Some(seed) if seed >= count => return,
        Some(seed) => (AtomicU64::new(seed), seed + 1),
        None => (AtomicU64::new(0), count),
    };
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    let work = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < end
        {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(seed))) {
                failed.lock().unwrap().push((seed, said(&*panic)));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, work)
                .expect("a thread");
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let shown: Vec<String> = failed
        .iter()
        .take(3)
        .map(|(seed, why)| format!("AMPXA_SEED={seed} cargo test -p simulation {test} -- --nocapture\n{why}"))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {count} runs failed:\n{}",
        failed.len(),
        shown.join("\n\n")
    );
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without a word").to_owned()
}
