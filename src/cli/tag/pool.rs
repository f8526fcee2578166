//! Windows of several notes on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use clinlite::Result;
use clinlite::backend::Backend;
use clinlite::tasks::ner::{Job, Judged, Tagger};
use indicatif::ProgressBar;

/// Judges all windows of all notes; the results stand in the order of the notes and of their windows. Each thread takes
/// the next window that nobody has, so that one long note and many short ones keep all cores busy alike.
pub(super) fn judge<'a, B: Backend>(
    tagger: &Tagger<B>,
    jobs: impl Iterator<Item = &'a Job>,
    threads: usize,
    bar: &ProgressBar,
) -> Vec<Result<Vec<Judged>>>
where
    Tagger<B>: Sync,
{
    let jobs: Vec<&Job> = jobs.collect();
    let work: Vec<(usize, usize)> =
        jobs.iter().enumerate().flat_map(|(i, job)| (0..job.progress().1).map(move |window| (i, window))).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(&(i, window)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((i, window, pollster::block_on(tagger.judge(jobs[i], window))));
            bar.inc(1);
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(work.len())).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            done.extend(other.join().expect("the panic hook ends the process"));
        }
        done
    });
    done.sort_by_key(|&(i, window, _)| (i, window));
    let mut results: Vec<Result<Vec<Judged>>> = jobs.iter().map(|_| Ok(Vec::new())).collect();
    for (i, _, judged) in done {
        match (&mut results[i], judged) {
            (Ok(windows), Ok(judged)) => windows.push(judged),
            (result @ Ok(_), Err(error)) => *result = Err(error),
            (Err(_), _) => (),
        }
    }
    results
}
