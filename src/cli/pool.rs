//! Forward passes of several questions on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use clinlite::Result;
use indicatif::ProgressBar;

use crate::work::Work;

/// Does all passes of all jobs; the results stand in the order of the jobs and of their passes. Each thread takes the next
/// pass that nobody has, so that one long text and many short ones keep all cores busy alike.
pub(crate) fn judge<W: Work>(
    work: &W,
    jobs: &[&W::Job],
    threads: usize,
    bar: &ProgressBar,
) -> Vec<Result<Vec<W::Judged>>> {
    let passes: Vec<(usize, usize)> =
        jobs.iter().enumerate().flat_map(|(i, job)| (0..W::passes(job)).map(move |pass| (i, pass))).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(&(i, pass)) = passes.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((i, pass, work.judge(jobs[i], pass)));
            bar.inc(1);
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(passes.len())).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            done.extend(other.join().expect("the panic hook ends the process"));
        }
        done
    });
    done.sort_by_key(|&(i, pass, _)| (i, pass));
    let mut results: Vec<Result<Vec<W::Judged>>> = jobs.iter().map(|_| Ok(Vec::new())).collect();
    for (i, _, judged) in done {
        match (&mut results[i], judged) {
            (Ok(passes), Ok(judged)) => passes.push(judged),
            (result @ Ok(_), Err(error)) => *result = Err(error),
            (Err(_), _) => (),
        }
    }
    results
}
