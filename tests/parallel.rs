//! One run in several processes: it trains as one does, goes on exactly, and ends when a rank is lost.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clinlite::Result;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::training::{Quantity, Training};
use clinlite::train::parallel::{Group, HostSums, Ranks, Seat, Sums};
use clinlite::train::pretrain::{Options, Places, Role, pretrain_among};
use serde_json::Value;

use crate::pretrain::{TINY, fixture, places};
use crate::support::Scratch;

/// MiniALBERT, whose layers share their weights: three passes of one layer.
const MINI: &str = r#"
name = "mini"
seed = 5
[student]
base = "@"
[blocks]
batch_size = 6
[loss]
masked_lm = 1.0
divergence = 5.0
[loss.attention]
measure = "divergence"
weight = 3.0
layers = [[0, 1], [1, 3], [2, 5], [3, 7], [4, 9], [5, 11]]
[train]
lr = 2e-3
steps = 12
accumulate = 6
log_every = 1
[evaluate]
every = 4
patience = 3
"#;

fn mini() -> String {
    MINI.replace('@', &fixture("clinical-mini-albert").display().to_string())
}

/// Two ports beside each other that nobody has: torchrun's, and the one after it.
fn port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let own = std::process::id() as usize * 7 + NEXT.fetch_add(2, Ordering::Relaxed);
        let port = 21_000 + (own % 10_000) as u16;
        if [port, port + 1].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}

/// How the launchers say who is who.
#[derive(Clone, Copy)]
enum Launcher {
    Torchrun,
    Slurm,
    Mpirun,
}

impl Launcher {
    fn variables(self, rank: usize, size: usize, port: u16) -> Vec<(&'static str, String)> {
        let [rank, size] = [rank, size].map(|number| number.to_string());
        match self {
            Self::Torchrun => vec![
                ("RANK", rank.clone()),
                ("WORLD_SIZE", size),
                ("LOCAL_RANK", rank),
                ("MASTER_ADDR", "127.0.0.1".into()),
                ("MASTER_PORT", port.to_string()),
            ],
            Self::Slurm => vec![
                ("SLURM_PROCID", rank.clone()),
                ("SLURM_NTASKS", size),
                ("SLURM_LOCALID", rank),
                ("SLURM_NODELIST", "localhost".into()),
                ("CLINLITE_PORT", port.to_string()),
            ],
            Self::Mpirun => vec![
                ("OMPI_COMM_WORLD_RANK", rank.clone()),
                ("OMPI_COMM_WORLD_SIZE", size.clone()),
                ("OMPI_COMM_WORLD_LOCAL_RANK", rank),
                ("OMPI_COMM_WORLD_LOCAL_SIZE", size),
                ("CLINLITE_PORT", port.to_string()),
            ],
        }
    }
}

fn command(places: &Places, recipe: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.arg("pretrain").arg(recipe).arg("--out").arg(&places.out).arg("--blocks").arg(&places.blocks);
    command.args(places.teacher.iter().flat_map(|teacher| ["--teacher".as_ref(), teacher.as_os_str()]));
    command.args(["--resume", "--checkpoint-minutes", "0.001"]).stderr(Stdio::piped()).env("RAYON_NUM_THREADS", "2");
    command
}

fn start(launcher: Launcher, size: usize, places: &Places, recipe: &Path) -> Vec<Child> {
    let port = port();
    let spawn = |rank| command(places, recipe).envs(launcher.variables(rank, size, port)).spawn().unwrap();
    (0..size).map(spawn).collect()
}

/// Waits for all; a rank that hangs fails the test.
fn end(children: Vec<Child>) -> Vec<Output> {
    let begun = Instant::now();
    let wait = |mut child: Child| {
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(120) {
                child.kill().unwrap();
                panic!("a rank hangs: {}", said(&child.wait_with_output().unwrap()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().unwrap()
    };
    children.into_iter().map(wait).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeded(outputs: &[Output]) {
    outputs.iter().for_each(|output| assert!(output.status.success(), "{}", said(output)));
}

fn bytes(places: &Places) -> Vec<u8> {
    fs::read(places.out.join("model/model.safetensors")).unwrap()
}

fn lines(places: &Places) -> Vec<Value> {
    let log = fs::read_to_string(places.out.join("log.jsonl")).unwrap_or_default();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["loss"].is_f64())
        .collect()
}

/// Loss and norm of each step are those of one process, but for rounding.
fn same_course(found: &Places, expected: &Places, what: &str) {
    let (found, expected) = (lines(found), lines(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        for key in ["loss", "gradient_norm"] {
            let (a, b) = (found[key].as_f64().unwrap(), expected[key].as_f64().unwrap());
            assert!((a - b).abs() < 1e-4 * b.abs(), "{what}: {key} {a} for {b} at step {}", found["step"]);
        }
        assert_eq!(found["tokens"], expected["tokens"], "{what}");
    }
}

fn elsewhere(places: &Places, scratch: &Scratch, name: &str) -> Places {
    Places { out: scratch.path().join(name), ..places.clone() }
}

/// As many parts, with dropout on: what is dropped is the same, whoever does a part.
#[test]
fn several_processes_train_as_one() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    for (name, recipe) in [("tiny", TINY.replace("accumulate = 2", "accumulate = 6")), ("mini", mini())] {
        let path = scratch.file(&format!("{name}.toml"), recipe);
        let alone = elsewhere(&own, &scratch, &format!("{name}-1"));
        succeeded(&end(vec![command(&alone, &path).spawn().unwrap()]));
        assert!(lines(&alone).len() >= 12);
        for (launcher, size) in [(Launcher::Torchrun, 2), (Launcher::Slurm, 3), (Launcher::Mpirun, 2)] {
            let many = elsewhere(&own, &scratch, &format!("{name}-{size}-{}", launcher as u8));
            let outputs = end(start(launcher, size, &many, &path));
            succeeded(&outputs);
            same_course(&many, &alone, name);
            assert!(said(&outputs[0]).contains(&format!("rank 0 of {size} waited")), "{}", said(&outputs[0]));
            assert!(outputs[1..].iter().all(|output| said(output).is_empty()), "only rank 0 tells how it goes");
        }
        // Two runs of two processes, by two launchers.
        let twice = [0, 2].map(|launcher| bytes(&elsewhere(&own, &scratch, &format!("{name}-2-{launcher}"))));
        assert!(twice[0] == twice[1], "{name}: the weights are the same bytes");
    }
}

fn wait_for_steps(places: &Places, count: usize, children: &mut [Child]) {
    let begun = Instant::now();
    while lines(places).len() < count && children.iter_mut().all(|child| child.try_wait().unwrap().is_none()) {
        assert!(begun.elapsed() < Duration::from_secs(120), "{count} steps took more than two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn processes_that_are_killed_go_on_exactly() {
    let scratch = Scratch::new();
    let whole = places(&scratch);
    let path = scratch.file("recipe.toml", TINY.replace("steps = 24", "steps = 90"));
    succeeded(&end(start(Launcher::Torchrun, 2, &whole, &path)));
    let killed = elsewhere(&whole, &scratch, "killed");
    for kill in 1..=3 {
        let mut children = start(Launcher::Torchrun, 2, &killed, &path);
        wait_for_steps(&killed, 20 * kill, &mut children);
        children.iter_mut().for_each(|child| child.kill().unwrap()); // SIGKILL
        end(children);
    }
    succeeded(&end(start(Launcher::Torchrun, 2, &killed, &path)));
    assert!(bytes(&killed) == bytes(&whole), "the weights are the same bytes");
    let losses = |places: &Places| lines(places).iter().map(|line| line["losses"].clone()).collect::<Vec<_>>();
    assert_eq!(losses(&killed), losses(&whole));
}

#[test]
fn a_lost_rank_ends_the_others() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let path = scratch.file("recipe.toml", TINY.replace("steps = 24", "steps = 100000"));
    let mut children = start(Launcher::Slurm, 3, &own, &path);
    wait_for_steps(&own, 5, &mut children);
    children[1].kill().unwrap();
    let begun = Instant::now();
    let outputs = end(children);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    for rank in [0, 2] {
        let said = said(&outputs[rank]);
        assert_eq!(outputs[rank].status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("rank {rank} of 3: rank 1 is gone")) && said.contains("--resume"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_signal_to_one_rank_stops_all_at_one_step() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let path = scratch.file("recipe.toml", TINY.replace("steps = 24", "steps = 100000"));
    let mut children = start(Launcher::Mpirun, 2, &own, &path);
    wait_for_steps(&own, 5, &mut children);
    assert!(Command::new("kill").arg("-TERM").arg(children[1].id().to_string()).status().unwrap().success());
    let outputs = end(children);
    for output in &outputs {
        assert_eq!(output.status.code(), Some(143), "{}", said(output));
    }
    assert!(said(&outputs[0]).contains("go on with --resume"), "{}", said(&outputs[0]));
    assert!(own.out.join("checkpoint.safetensors").exists());
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let recipes =
        [5, 6].map(|seed| scratch.file(&format!("{seed}.toml"), TINY.replace("seed = 5", &format!("seed = {seed}"))));
    let port = port();
    let spawn =
        |rank: usize| command(&own, &recipes[rank]).envs(Launcher::Torchrun.variables(rank, 2, port)).spawn().unwrap();
    for output in end(vec![spawn(0), spawn(1)]) {
        assert!(said(&output).contains("rank 1 has another recipe"), "{}", said(&output));
    }
    let outputs = end(start(Launcher::Torchrun, 7, &own, &recipes[0]));
    assert!(said(&outputs[0]).contains("7 processes share 6 blocks"), "{}", said(&outputs[0]));
    let half = command(&own, &recipes[0]).env("WORLD_SIZE", "2").output().unwrap();
    assert!(said(&half).contains("WORLD_SIZE without RANK"), "{}", said(&half));
    let mut tuned = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    tuned.args(["finetune", "x.toml", "--out", "x"]).envs(Launcher::Torchrun.variables(1, 2, port));
    let tuned = tuned.output().unwrap();
    assert!(said(&tuned).contains("finetune runs in one process, and this is rank 1 of 2"), "{}", said(&tuned));
}

/// [`HostSums`] that tells how many buckets a step had, and looks at the embeddings when the first sets off.
struct Watched {
    sums: HostSums,
    buckets: Cell<usize>,
    early: Cell<bool>,
}

const EMBEDDINGS: &str = "bert.embeddings.position_embeddings.weight";

impl Watched {
    fn idle(engine: &CandleBackend) -> Result<bool> {
        Ok(engine.read(EMBEDDINGS, Quantity::Gradient)?.iter().all(|g| *g == 0.0))
    }
}

impl Sums<CandleBackend> for Watched {
    fn begin(&self, group: &Group, engine: &CandleBackend, weights: Vec<String>) -> Result<()> {
        if self.buckets.replace(self.buckets.get() + 1) == 0 {
            self.early.set(Self::idle(engine)?);
        }
        self.sums.begin(group, engine, weights)
    }

    fn finish(&self, group: &Group, engine: &CandleBackend) -> Result<()> {
        Sums::<CandleBackend>::finish(&self.sums, group, engine)?;
        assert!(self.early.replace(false), "the first bucket set off before the backward pass came to the embeddings");
        assert!(!Self::idle(engine)?);
        BUCKETS.fetch_max(self.buckets.take(), Ordering::Relaxed);
        Ok(())
    }
}

static BUCKETS: AtomicUsize = AtomicUsize::new(0);

/// Three ranks as threads of this process, with buckets of so many bytes.
fn threads(places: &Places, recipe: &str, bucket: usize) {
    let port = port();
    std::thread::scope(|scope| {
        for rank in 0..3 {
            scope.spawn(move || {
                let seat = Seat { rank, size: 3, local_rank: rank, host: "localhost".into(), port };
                let group = Group::join(&seat, Duration::from_secs(60), Duration::from_secs(60)).unwrap();
                let sums = Watched { sums: HostSums::default(), buckets: Cell::new(0), early: Cell::new(false) };
                let ranks = Ranks::new(group, Box::new(sums), bucket);
                let stop = AtomicBool::new(false);
                let options = Options { resume: false, checkpoint_every: Duration::from_secs(3600), stop: &stop };
                let engine = |role: Role| Ok(role.on_cpu());
                pretrain_among(&ranks, recipe, places, &options, engine, &mut ()).unwrap();
            });
        }
    });
}

/// The smallest buckets, one weight each, and one for all: what is summed when changes no bit.
#[test]
fn buckets_set_off_while_the_backward_pass_goes_on() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let recipe = TINY.replace("steps = 24", "steps = 4").replace("accumulate = 2", "accumulate = 1");
    let [small, some] = [1, 5000].map(|bucket| {
        let own = elsewhere(&own, &scratch, &format!("bucket-{bucket}"));
        BUCKETS.store(0, Ordering::Relaxed);
        threads(&own, &recipe, bucket);
        (bytes(&own), BUCKETS.load(Ordering::Relaxed))
    });
    assert!(small.1 > 50 && (3..20).contains(&some.1), "{} and {} buckets", small.1, some.1);
    assert!(small.0 == some.0, "the weights are the same bytes");
    let seat = |rank| Seat { rank, size: 2, local_rank: rank, host: "127.0.0.1".into(), port: port() };
    for (rank, missing) in [(0, "rank 0 of 2 at 127.0.0.1"), (1, "rank 0 does not listen")] {
        let short = Duration::from_millis(200);
        let error = Group::join(&seat(rank), short, short).err().unwrap().to_string();
        assert!(error.contains(missing), "{error}");
    }
}
