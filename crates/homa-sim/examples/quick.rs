//! A run, in short.
fn main() {
    let mut args = std::env::args().skip(1);
    let workload = args.next().unwrap_or("w4".into());
    let mut config = homa_sim::SimConfig::sigcomm18(&workload);
    let mut value = serde_json::to_value(&config).unwrap();
    for arg in args {
        let (key, text) = arg.split_once('=').unwrap();
        let mut place = &mut value;
        for part in key.split('.') {
            place = &mut place[part];
        }
        *place = serde_json::from_str(text).unwrap_or(serde_json::Value::String(text.into()));
    }
    config = serde_json::from_value(value).unwrap();
    let report = homa_sim::run(&config, &|_| {}).unwrap();
    println!("{:?}", report.slowdown);
    for bin in homa_sim::stats::tenths(&report.bins) {
        println!("{bin:?}");
    }
    println!("{:?} {:?}", report.queues, report.counts);
    println!("prio {:.1?}", report.priorities);
    println!(
        "sim {:.4} s wall {:.2} s events {} {:.2} M/s goodput {:.2} util {:.1} wasted {:.2} unfinished {} {}",
        report.sim_seconds, report.wall_seconds, report.events, report.events_per_second / 1e6,
        report.goodput_gbps, report.utilization_pct, report.wasted_pct, report.unfinished, report.fingerprint
    );
}
