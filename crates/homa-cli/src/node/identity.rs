//! Which node of a cluster this one is, and where all of them are: as flags say, or the engine that
//! started it.

use super::args::PlaceArgs;
use super::hostlist;
use crate::address::ServerAddress;
use crate::engine::{KUBERNETES_COUNT, KUBERNETES_INDEX, Variables};

/// Of `srun`: the number of this task, and how many there are.
const SLURM_RANK: &str = "SLURM_PROCID";
const SLURM_SIZE: &str = "SLURM_NTASKS";
/// The hosts of this step, or else of the whole job.
const SLURM_HOSTS: [&str; 2] = ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"];

/// A node among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The number of this node, from 0.
    pub(super) rank: usize,
    /// All nodes, this one included, by rank.
    pub(super) nodes: Vec<ServerAddress>,
}

/// How this node knows its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Flag,
    Slurm,
    Job,
    /// The ordinal at the end of its host's name.
    StatefulSet,
}

impl Identity {
    /// # Errors
    ///
    /// Flags and environment do not say it, or contradict each other.
    pub(super) fn find(
        args: &PlaceArgs,
        variables: &Variables<impl Fn(&str) -> Option<String>>,
        host_name: &str,
    ) -> Result<Self, String> {
        let (source, rank) = rank(args, variables, host_name)?;
        let nodes = match source {
            _ if !args.peers.is_empty() => args.peers.clone(),
            Source::Flag => return Err("--rank needs --peers".into()),
            Source::Slurm => of_slurm(args, variables)?,
            Source::Job => of_pods(args, host_name, Some(variables.needed(KUBERNETES_COUNT)?))?,
            Source::StatefulSet => of_pods(args, host_name, args.size)?,
        };
        let size = match source {
            Source::Slurm => variables.number(SLURM_SIZE)?,
            Source::Job => variables.number(KUBERNETES_COUNT)?,
            Source::Flag | Source::StatefulSet => args.size,
        };
        match size {
            Some(size) if size != nodes.len() => Err(format!(
                "there are to be {size} nodes, but the addresses are those of {}",
                nodes.len()
            )),
            _ if nodes.len() < 2 => Err("it takes two nodes at least".into()),
            _ if rank >= nodes.len() => {
                Err(format!("rank {rank} is beyond the last of {} nodes", nodes.len()))
            }
            _ => Self { rank, nodes }.checked(),
        }
    }

    /// A node as messages name it.
    pub(super) fn name(&self, rank: usize) -> String {
        format!("rank {rank} ({})", self.nodes[rank])
    }

    /// The ranks of all others.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let this = self.rank;
        (0..self.nodes.len()).filter(move |&rank| rank != this)
    }

    fn checked(self) -> Result<Self, String> {
        for (rank, node) in self.nodes.iter().enumerate() {
            if let Some(same) = self.nodes[..rank].iter().position(|other| other == node) {
                return Err(format!("ranks {same} and {rank} have the same address {node}"));
            }
        }
        Ok(self)
    }
}

fn rank(
    args: &PlaceArgs,
    variables: &Variables<impl Fn(&str) -> Option<String>>,
    host_name: &str,
) -> Result<(Source, usize), String> {
    if let Some(rank) = args.rank {
        return Ok((Source::Flag, rank));
    }
    match (variables.number(SLURM_RANK)?, variables.number(KUBERNETES_INDEX)?) {
        (Some(_), Some(_)) => {
            Err(variables.wrong(&format!("both {SLURM_RANK} and {KUBERNETES_INDEX} are set")))
        }
        (Some(rank), None) => Ok((Source::Slurm, rank)),
        (None, Some(rank)) => Ok((Source::Job, rank)),
        (None, None) if args.service.is_some() => {
            let (_, ordinal) = split_ordinal(host_name)?;
            Ok((Source::StatefulSet, ordinal))
        }
        (None, None) => Err(format!(
            "which node is this? Give --rank and --peers, or start it with srun ({SLURM_RANK}), as an indexed \
             Job ({KUBERNETES_INDEX}) or as a StatefulSet (--service)"
        )),
    }
}

/// One node on each host, in the order of Slurm's list, which is that of its tasks.
fn of_slurm(
    args: &PlaceArgs,
    variables: &Variables<impl Fn(&str) -> Option<String>>,
) -> Result<Vec<ServerAddress>, String> {
    let size = variables.needed(SLURM_SIZE)?;
    let list = SLURM_HOSTS.iter().find_map(|name| variables.text(name));
    let list = list.ok_or_else(|| {
        let names = SLURM_HOSTS.join(" nor ");
        variables.wrong(&format!("neither {names} is set: give --peers"))
    })?;
    let hosts = hostlist::expand(&list)?;
    if hosts.len() != size {
        return Err(format!(
            "{size} tasks on {} hosts: start one on each (srun --ntasks-per-node=1), or give --peers",
            hosts.len()
        ));
    }
    Ok(hosts.iter().map(|host| ServerAddress::of_host(host, args.port)).collect())
}

/// The pods of a Job or a StatefulSet, which a headless service names: POD-0.SERVICE and so on.
fn of_pods(
    args: &PlaceArgs,
    host_name: &str,
    size: Option<usize>,
) -> Result<Vec<ServerAddress>, String> {
    let Some(service) = &args.service else {
        return Err("--service names the headless service of the pods; or give --peers".into());
    };
    let size = size.ok_or("--size (HOMA_NODE_SIZE) says how many pods a StatefulSet has")?;
    let (base, _) = split_ordinal(host_name)?;
    let pod = |ordinal| ServerAddress::of_host(&format!("{base}-{ordinal}.{service}"), args.port);
    Ok((0..size).map(pod).collect())
}

/// `homa-node-3` is pod 3 of `homa-node`.
fn split_ordinal(host_name: &str) -> Result<(&str, usize), String> {
    let name = host_name.split('.').next().unwrap_or(host_name);
    let parts =
        name.rsplit_once('-').and_then(|(base, ordinal)| Some((base, ordinal.parse().ok()?)));
    parts.ok_or_else(|| {
        format!("the host name '{name}' does not end in the number of a pod, such as -0")
    })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn args(peers: &[&str]) -> PlaceArgs {
        let peers = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        PlaceArgs { rank: None, peers, size: None, service: None, port: 4000 }
    }

    fn find(
        args: &PlaceArgs,
        variables: &[(&str, &str)],
        host_name: &str,
    ) -> Result<(usize, Vec<String>), String> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| text.to_string())
        };
        let found = Identity::find(args, &Variables::new("homa node", find), host_name)?;
        Ok((found.rank, found.nodes.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn find__flags_win() {
        let both = PlaceArgs { rank: Some(1), ..args(&["a:1", "b:2/3"]) };
        let expected = Ok((1, vec!["a:1".to_owned(), "b:2/3".to_owned()]));
        assert_eq!(find(&both, &[(SLURM_RANK, "0"), (SLURM_SIZE, "7")], "x"), expected);
        let alone = PlaceArgs { rank: Some(1), ..args(&[]) };
        assert!(find(&alone, &[], "x").unwrap_err().contains("--peers"));
    }

    #[test]
    fn find__slurm_has_a_list_of_hosts() {
        let step = [(SLURM_RANK, "2"), (SLURM_SIZE, "3"), (SLURM_HOSTS[0], "n[01-02],login")];
        let (rank, nodes) = find(&args(&[]), &step, "x").unwrap();
        assert_eq!(
            (rank, nodes),
            (2, vec!["n01:4000".into(), "n02:4000".into(), "login:4000".into()])
        );
        let job = [(SLURM_RANK, "0"), (SLURM_SIZE, "2"), (SLURM_HOSTS[1], "n[1-2]")];
        assert_eq!(find(&args(&[]), &job, "x").unwrap().1, ["n1:4000", "n2:4000"]);
        let crowded = [(SLURM_RANK, "0"), (SLURM_SIZE, "4"), (SLURM_HOSTS[0], "n[1-2]")];
        assert!(find(&args(&[]), &crowded, "x").unwrap_err().contains("--ntasks-per-node=1"));
        let lost = [(SLURM_RANK, "0"), (SLURM_SIZE, "2")];
        assert!(find(&args(&[]), &lost, "x").unwrap_err().contains(SLURM_HOSTS[1]));
    }

    #[test]
    fn find__slurm_may_give_the_rank_alone() {
        let peers = args(&["127.0.0.1:5000", "127.0.0.1:5001"]);
        let rank = |size| find(&peers, &[(SLURM_RANK, "1"), (SLURM_SIZE, size)], "x");
        assert_eq!(rank("2").unwrap().0, 1);
        assert!(rank("3").unwrap_err().contains("3 nodes"));
    }

    #[test]
    fn find__pods_are_named_by_a_service() {
        let service = PlaceArgs { service: Some("homa.default".into()), ..args(&[]) };
        let job = [(KUBERNETES_INDEX, "1"), (KUBERNETES_COUNT, "2")];
        let (rank, nodes) = find(&service, &job, "cluster-1").unwrap();
        assert_eq!((rank, nodes[0].as_str()), (1, "cluster-0.homa.default:4000"));
        let set = PlaceArgs { size: Some(3), ..service.clone() };
        let (rank, nodes) = find(&set, &[], "homa-node-2.homa").unwrap();
        assert_eq!((rank, nodes.len()), (2, 3));
        assert_eq!(nodes[2], "homa-node-2.homa.default:4000");
        assert!(find(&service, &[], "homa-node-2").unwrap_err().contains("--size"));
        assert!(find(&set, &[], "laptop").unwrap_err().contains("laptop"));
        assert!(find(&args(&[]), &job, "cluster-1").unwrap_err().contains("--service"));
    }

    #[test]
    fn find__nonsense_is_refused() {
        let both = [(SLURM_RANK, "0"), (KUBERNETES_INDEX, "0")];
        assert!(find(&args(&[]), &both, "x").unwrap_err().contains("both"));
        assert!(find(&args(&[]), &[], "x").unwrap_err().contains("srun"));
        for (rank, peers, why) in [
            (2, &["a:1", "b:1"][..], "beyond"),
            (0, &["a:1"], "two nodes"),
            (0, &["a:1", "b:1", "a:1"], "ranks 0 and 2"),
        ] {
            let wrong = PlaceArgs { rank: Some(rank), ..args(peers) };
            assert!(find(&wrong, &[], "x").unwrap_err().contains(why), "{why}");
        }
    }
}
