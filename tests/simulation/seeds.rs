//! Runs a test for many seeds on all processors, and reports the seeds that fail.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// The stack of a thread, in bytes. Futures nest deeply, and those of an unoptimized build are large.
const STACK: usize = 64 << 20;

/// Runs the seeds from 0 to `count`, or only the seed in `AMPXA_SEED`. Panics with the first three failures.
/// `test` is the filter that selects the test; the message repeats it.
pub fn each(test: &str, count: u64, run: impl Fn(u64) + Sync) {
    let selected = std::env::var("AMPXA_SEED")
        .ok()
        .map(|seed| seed.parse::<u64>().expect("a number"));
    let (next, end) = match selected {
        Some(seed) if seed >= count => return,
        Some(seed) => (AtomicU64::new(seed), seed + 1),
        None => (AtomicU64::new(0), count),
    };
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    let worker = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < end
        {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
                failed.lock().unwrap().push((seed, panic_message(&*panic)));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, worker)
                .expect("a thread");
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let shown: Vec<String> = failed
        .iter()
        .take(3)
        .map(|(seed, message)| {
            format!("AMPXA_SEED={seed} cargo test --workspace --test simulation {test} -- --nocapture\n{message}")
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {count} runs failed:\n{}",
        failed.len(),
        shown.join("\n\n")
    );
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panic without a message").to_owned()
}
