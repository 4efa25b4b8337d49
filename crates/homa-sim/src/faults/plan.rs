//! Faults by what they concern.

use std::collections::BTreeMap;

use super::{Fault, Interface, LinkFaults, Span, Stall};
use crate::config::SimError;
use crate::network::{NetworkConfig, down, link_ports, up};
use crate::packet::HostId;
use crate::time::SimTime;
use crate::topology::{Link, SwitchName};

/// The latest time that a fault may name, and the longest span, in microseconds.
const MICROS_MAX: f64 = 1e12;

/// The longest that a host may take, as a multiple.
const DELAY_FACTOR_MAX: f64 = 1e6;

/// What is to go wrong in a run.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    /// By port.
    pub(crate) links: BTreeMap<u32, LinkFaults>,
    /// By host; empty if no host is ever stalled.
    pub(crate) interfaces: Vec<Interface>,
    /// When other ways become the shortest.
    pub(crate) reroutes: Vec<SimTime>,
}

/// What faults refer to.
struct Names<'a> {
    config: &'a NetworkConfig,
    hosts: u32,
    links: Vec<Link>,
}

impl FaultPlan {
    /// # Errors
    ///
    /// The number of the fault, from 0, and what is wrong with it.
    pub(crate) fn new(faults: &[Fault], config: &NetworkConfig) -> Result<Self, SimError> {
        let mut plan = Self::default();
        if faults.is_empty() {
            return Ok(plan);
        }
        let topology = config.topology.build()?;
        let hosts = topology.host_switch.len() as u32;
        let names = Names { config, hosts, links: topology.links };
        for (number, fault) in faults.iter().enumerate() {
            plan.add(fault, &names)
                .map_err(|why| SimError::Config(format!("faults[{number}]: {why}")))?;
        }
        Ok(plan)
    }

    fn add(&mut self, fault: &Fault, names: &Names<'_>) -> Result<(), String> {
        let span = span(fault)?;
        match *fault {
            Fault::LinkDown { ref between, .. } => {
                for port in names.between(between)? {
                    self.link(port, names).outages.push(span);
                }
                self.reroutes.extend([span.begin, span.end]);
            }
            Fault::HostLinkDown { host, .. } => {
                let host = names.host(host)?;
                for port in [up(host), down(host)] {
                    self.link(port, names).outages.push(span);
                }
            }
            Fault::SlowHost { host, delay_factor, every_us, nic_bytes, .. } => {
                let host = names.host(host)?;
                self.slow_down(host, delay_factor, span, names)?;
                if every_us != 0.0 {
                    let every = micros(every_us).filter(|every| every.0 > 0);
                    let every = every.ok_or("every_us is 0.000001 to 10^12, or 0")?;
                    self.stall(host, Stall { span, every, room_bytes: nic_bytes }, names);
                }
            }
            Fault::PausedHost { host, nic_bytes, .. } => {
                let host = names.host(host)?;
                let every = span.end - span.begin;
                self.stall(host, Stall { span, every, room_bytes: nic_bytes }, names);
            }
        }
        Ok(())
    }

    fn slow_down(
        &mut self,
        host: HostId,
        factor: f64,
        span: Span,
        names: &Names<'_>,
    ) -> Result<(), String> {
        if !(1.0..=DELAY_FACTOR_MAX).contains(&factor) {
            return Err("delay_factor is 1 to 10^6".into());
        }
        let NetworkConfig { host_send_ns, host_receive_ns, .. } = *names.config;
        for (port, nanos) in [(up(host), host_send_ns), (down(host), host_receive_ns)] {
            let lag = SimTime::from_micros_f64((factor - 1.0) * nanos as f64 * 1e-3);
            self.link(port, names).lags.push((span, lag));
        }
        Ok(())
    }

    fn stall(&mut self, host: HostId, stall: Stall, names: &Names<'_>) {
        self.interfaces.resize_with(names.hosts as usize, Interface::default);
        self.interfaces[host.index()].add(stall);
    }

    fn link(&mut self, port: u32, names: &Names<'_>) -> &mut LinkFaults {
        let propagation = SimTime::from_nanos(names.config.propagation_ns);
        let none = || LinkFaults { propagation, ..LinkFaults::default() };
        self.links.entry(port).or_insert_with(none)
    }
}

impl Names<'_> {
    fn host(&self, host: u32) -> Result<HostId, String> {
        if host < self.hosts {
            return Ok(HostId(host));
        }
        Err(format!("there is no host {host}: hosts are 0 to {}", self.hosts - 1))
    }

    /// The ports of all links between two switches, both directions.
    fn between(&self, ends: &[SwitchName; 2]) -> Result<Vec<u32>, String> {
        let [a, b] = ends.each_ref().map(|name| self.config.topology.switch(name));
        let (a, b) = (a?, b?);
        let joins = |link: &Link| [(a, b), (b, a)].contains(&(link.a, link.b));
        let numbers = (0..).zip(&self.links).filter(|(_, link)| joins(link));
        let ports: Vec<_> =
            numbers.flat_map(|(number, _)| link_ports(self.hosts, number)).collect();
        if ports.is_empty() {
            let [a, b] = ends;
            return Err(format!("there is no link between switches {a} and {b}"));
        }
        Ok(ports)
    }
}

fn span(fault: &Fault) -> Result<Span, String> {
    let (from_us, to_us) = fault.times_us();
    let time = |name: &str, us| micros(us).ok_or_else(|| format!("{name} is 0 to 10^12"));
    let span = Span { begin: time("from_us", from_us)?, end: time("to_us", to_us)? };
    if span.begin >= span.end {
        return Err(format!("from_us, {from_us}, is not before to_us, {to_us}"));
    }
    Ok(span)
}

fn micros(us: f64) -> Option<SimTime> {
    (0.0..=MICROS_MAX).contains(&us).then(|| SimTime::from_micros_f64(us))
}
