//! Which of how many processes this one is, as the launchers say it.
//!
//! | launcher | rank | size | rank on this host | where rank 0 is |
//! |---|---|---|---|---|
//! | torchrun | `RANK` | `WORLD_SIZE` | `LOCAL_RANK` | `MASTER_ADDR`, `MASTER_PORT` |
//! | mpirun of Open MPI | `OMPI_COMM_WORLD_RANK` | `OMPI_COMM_WORLD_SIZE` | `OMPI_COMM_WORLD_LOCAL_RANK` | `MASTER_ADDR`, or this host if it has all |
//! | mpiexec of MPICH, Intel MPI | `PMI_RANK` | `PMI_SIZE` | `MPI_LOCALRANKID` | the same |
//! | srun | `SLURM_PROCID` | `SLURM_NTASKS` | `SLURM_LOCALID` | `MASTER_ADDR`, or the first of `SLURM_NODELIST` |
//!
//! Launchers may be nested: the first of the table that is there is the inner one. torchrun's own store listens on
//! `MASTER_PORT`, so rank 0 listens on the port after it, or on `CLINLITE_PORT`.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};

/// The variables of a process.
pub type Variables = BTreeMap<String, String>;

/// The place of a process among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which one it is, from 0.
    pub rank: usize,
    /// How many there are; at least two.
    pub size: usize,
    /// Which one of those on this host it is, from 0.
    pub local_rank: usize,
    /// The host of rank 0.
    pub host: String,
    /// Where rank 0 listens.
    pub port: u16,
}

struct Launcher {
    name: &'static str,
    /// Rank, size, rank on this host.
    variables: [&'static str; 3],
    /// How many there are on this host.
    local_size: &'static str,
}

const TORCHRUN: Launcher =
    Launcher { name: "torchrun", variables: ["RANK", "WORLD_SIZE", "LOCAL_RANK"], local_size: "LOCAL_WORLD_SIZE" };
const OPEN_MPI: Launcher = Launcher {
    name: "mpirun",
    variables: ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"],
    local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
};
const MPICH: Launcher =
    Launcher { name: "mpiexec", variables: ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"], local_size: "MPI_LOCALNRANKS" };
const SLURM: Launcher = Launcher {
    name: "srun",
    variables: ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"],
    local_size: "SLURM_NTASKS_PER_NODE",
};

/// Where rank 0 listens when nothing says otherwise: above torchrun's 29500.
const PORT: u16 = 29511;

impl Seat {
    /// What the environment of this process says.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn here() -> Result<Option<Self>> {
        let known =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::read(&known.collect())
    }

    /// What variables say; nothing for a process that is alone.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] that names the variables which are missing, are no numbers or contradict each other.
    pub fn read(variables: &Variables) -> Result<Option<Self>> {
        let mut found: Option<(&Launcher, [usize; 3])> = None;
        for launcher in [&TORCHRUN, &OPEN_MPI, &MPICH, &SLURM] {
            let Some(here) = launcher.read(variables)? else { continue };
            match found {
                None => found = Some((launcher, here)),
                Some((inner, [rank, size, _])) if size == here[1] && rank != here[0] => {
                    let [a, b] = [inner, launcher].map(|launcher| launcher.variables[0]);
                    return Err(refuse(&format!("{a} is {rank}, {b} is {} of as many: unset one of them", here[0])));
                }
                Some(_) => (),
            }
        }
        let Some((launcher, [rank, size, local_rank])) = found else { return Ok(None) };
        if size == 1 {
            return Ok(None);
        }
        let (host, port) = (launcher.host(variables, size)?, launcher.port(variables)?);
        Ok(Some(Self { rank, size, local_rank, host, port }))
    }
}

impl Launcher {
    /// Rank, size and rank on this host, if this launcher started the process.
    fn read(&self, variables: &Variables) -> Result<Option<[usize; 3]>> {
        let [rank, size, local] = self.variables;
        let has = |name: &str| variables.contains_key(name);
        // A shell inside an allocation knows how many tasks there could be; srun with PMI sets that, too.
        let of_slurm = self.name == SLURM.name && !has(rank);
        let of_pmi = self.name == MPICH.name && !has(local) && has(SLURM.variables[0]);
        if of_slurm || of_pmi || !(has(rank) || has(size)) {
            return Ok(None);
        }
        if let Some(missing) = self.variables.into_iter().find(|name| !has(name)) {
            let given = self.variables.into_iter().filter(|name| has(name)).collect::<Vec<_>>().join(" and ");
            return Err(refuse(&format!("{given} without {missing}: {} sets all three", self.name)));
        }
        let numbers = [number(variables, rank)?, number(variables, size)?, number(variables, local)?];
        let [r, n, l] = numbers;
        if r >= n || l > r {
            return Err(refuse(&format!(
                "{rank} {r}, {local} {l}, {size} {n}: ranks count from 0 and end below the size"
            )));
        }
        if self.name == SLURM.name && n > 1 && has("SLURM_JOB_ID") && !has("SLURM_STEP_ID") {
            let message =
                format!("{size} is {n}, but srun did not start this process: put srun before it, or unset {rank}");
            return Err(refuse(&message));
        }
        Ok(Some(numbers))
    }

    /// The host of rank 0.
    fn host(&self, variables: &Variables, size: usize) -> Result<String> {
        if let Some(host) = variables.get("MASTER_ADDR") {
            return Ok(host.clone());
        }
        let nodes = ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"];
        let nodes = nodes.into_iter().find_map(|name| variables.get(name));
        match nodes {
            Some(nodes) if self.name == SLURM.name => Ok(first_host(nodes)),
            _ if self.name == TORCHRUN.name => Err(refuse("RANK and WORLD_SIZE without MASTER_ADDR: torchrun sets it")),
            _ if variables.get(self.local_size).is_some_and(|local| *local == size.to_string()) => {
                Ok("127.0.0.1".into())
            }
            _ => Err(refuse(&format!("{} {size} without MASTER_ADDR: name the host of rank 0", self.variables[1]))),
        }
    }

    /// Where rank 0 listens. Two jobs of a cluster that share a host must not meet.
    fn port(&self, variables: &Variables) -> Result<u16> {
        let port = |name: &str, more: usize| {
            let port = number(variables, name)? + more;
            u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| refuse(&format!("{name}: no port {port}")))
        };
        let has = |name: &str| variables.contains_key(name);
        match () {
            () if has("CLINLITE_PORT") => port("CLINLITE_PORT", 0),
            () if has("MASTER_PORT") => port("MASTER_PORT", 1),
            () if self.name == TORCHRUN.name => {
                Err(refuse("RANK and WORLD_SIZE without MASTER_PORT: torchrun sets it"))
            }
            // Below 32768, where systems begin to give ports away.
            () if self.name == SLURM.name && has("SLURM_JOB_ID") => {
                Ok(20_000 + (number(variables, "SLURM_JOB_ID")? % 10_000) as u16)
            }
            () => Ok(PORT),
        }
    }
}

fn number(variables: &Variables, name: &str) -> Result<usize> {
    let text = variables.get(name).map_or("", String::as_str);
    let refused = || refuse(&format!("{name}: expected a number, found {text:?}"));
    text.trim().parse::<u32>().map(|number| number as usize).map_err(|_| refused())
}

/// The first of SLURM's list: `node[003-010,12],other` begins with `node003`.
fn first_host(nodes: &str) -> String {
    let (mut host, mut rest) = (String::new(), nodes);
    while let Some(at) = rest.find(['[', ',']) {
        host.push_str(&rest[..at]);
        let inside = &rest[at + 1..];
        match (rest.as_bytes()[at], inside.find(']')) {
            (b'[', Some(end)) => {
                host.push_str(inside[..end].split(['-', ',']).next().unwrap_or_default());
                rest = &inside[end + 1..];
            }
            _ => return host,
        }
    }
    host + rest
}

fn refuse(message: &str) -> Error {
    Error::new(ErrorKind::Input, message).at("environment")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Seat>> {
        Seat::read(
            &text
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .map(|(n, v)| (n.into(), v.into()))
                .collect(),
        )
    }

    #[test]
    fn launchers_say_who_is_who() {
        let cases = [
            ("RANK=3 WORLD_SIZE=8 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=29500", (3, 8, 1, "a", 29501)),
            ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=7 CLINLITE_PORT=9", (0, 2, 0, "a", 9)),
            ("SLURM_PROCID=1 SLURM_NTASKS=4 SLURM_LOCALID=1 SLURM_NODELIST=n[07-9],m", (1, 4, 1, "n07", PORT)),
            (
                "SLURM_PROCID=1 SLURM_NTASKS=4 SLURM_LOCALID=1 SLURM_NODELIST=x SLURM_JOB_ID=123456 SLURM_STEP_ID=0",
                (1, 4, 1, "x", 23456),
            ),
            ("SLURM_PROCID=1 SLURM_NTASKS=4 SLURM_LOCALID=1 MASTER_ADDR=b MASTER_PORT=10", (1, 4, 1, "b", 11)),
            (
                "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_LOCAL_RANK=2 OMPI_COMM_WORLD_LOCAL_SIZE=3",
                (2, 3, 2, "127.0.0.1", PORT),
            ),
            ("PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=0 MASTER_ADDR=c CLINLITE_PORT=30000", (1, 2, 0, "c", 30000)),
            // torchrun on each node of srun; mpirun inside an allocation; srun with its own PMI.
            (
                "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=1 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=0",
                (5, 8, 1, "a", 2),
            ),
            (
                "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_LOCAL_RANK=0 MASTER_ADDR=d SLURM_PROCID=1 \
                 SLURM_NTASKS=2 SLURM_LOCALID=0",
                (2, 3, 0, "d", PORT),
            ),
            (
                "PMI_RANK=1 PMI_SIZE=2 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=1 SLURM_NODELIST=e1,e2",
                (1, 2, 1, "e1", PORT),
            ),
        ];
        for (text, (rank, size, local_rank, host, port)) in cases {
            let expected = Seat { rank, size, local_rank, host: host.into(), port };
            assert_eq!(read(text).unwrap_or_else(|e| panic!("{text}: {e}")), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_process_that_is_alone_is_left_alone() {
        let alone = [
            "",
            "MASTER_ADDR=a MASTER_PORT=1",
            "SLURM_NTASKS=4 SLURM_JOB_ID=1",
            "RANK=0 WORLD_SIZE=1 LOCAL_RANK=0",
            "SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_JOB_ID=1",
        ];
        for text in alone {
            assert_eq!(read(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn what_is_half_said_is_refused_by_name() {
        let cases = [
            ("RANK=0 LOCAL_RANK=0", "RANK and LOCAL_RANK without WORLD_SIZE: torchrun sets all three"),
            ("WORLD_SIZE=2", "WORLD_SIZE without RANK"),
            ("RANK=0 WORLD_SIZE=2", "RANK and WORLD_SIZE without LOCAL_RANK"),
            ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_PORT=1", "without MASTER_ADDR"),
            ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a", "without MASTER_PORT"),
            ("RANK=2 WORLD_SIZE=2 LOCAL_RANK=0", "RANK 2, LOCAL_RANK 0, WORLD_SIZE 2"),
            ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=1", "RANK 0, LOCAL_RANK 1, WORLD_SIZE 2"),
            ("RANK=x WORLD_SIZE=2 LOCAL_RANK=0", "RANK: expected a number, found \"x\""),
            ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=65535", "MASTER_PORT: no port 65536"),
            ("PMI_RANK=0", "PMI_RANK without PMI_SIZE: mpiexec sets all three"),
            (
                "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=2",
                "OMPI_COMM_WORLD_SIZE 3 without MASTER_ADDR",
            ),
            ("SLURM_PROCID=0 SLURM_NTASKS=2", "without SLURM_LOCALID"),
            ("SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_LOCALID=0 SLURM_JOB_ID=5", "srun did not start this process"),
            (
                "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=1 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=1",
                "RANK is 0, SLURM_PROCID is 1",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with("environment: ") && error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_first_host_of_a_list() {
        let cases =
            [("a", "a"), ("a,b", "a"), ("n[3-5]", "n3"), ("n[03,05]-x,m", "n03-x"), ("r[1-2]n[7-8]", "r1n7"), ("", "")];
        for (nodes, expected) in cases {
            assert_eq!(first_host(nodes), expected, "{nodes}");
        }
    }
}
