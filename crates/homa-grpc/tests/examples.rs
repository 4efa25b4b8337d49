//! The examples, each pair between two processes; and how little sets those over Homa apart from those
//! over HTTP/2.
#![allow(non_snake_case, reason = "tests are named function__case")]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Cargo builds examples with the tests, beside them.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let folder: PathBuf = test.parent().unwrap().parent().unwrap().join("examples");
    let path = folder.join(name);
    assert!(path.exists(), "build the examples first: cargo build -p homa-grpc --examples");
    Command::new(path)
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A server's process, ended with the test.
struct Server(Child);

impl Server {
    fn start(name: &str, address: &str) -> Self {
        let mut server = Self(example(name).arg(address).stdout(Stdio::piped()).spawn().unwrap());
        let out = server.0.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).unwrap();
        assert!(line.contains("listening"), "{line}");
        // Announced before it listens: as soon as the port is taken it does. To try to take it would keep
        // the server from it.
        while !is_taken(address) {
            assert!(server.0.try_wait().unwrap().is_none(), "the server has ended");
            std::thread::yield_now();
        }
        server
    }
}

fn is_taken(address: &str) -> bool {
    let (_, port) = address.split_once(':').unwrap();
    let local = format!("0100007F:{:04X} 00000000:0000", port.parse::<u16>().unwrap());
    ["/proc/net/udp", "/proc/net/tcp"]
        .iter()
        .any(|table| std::fs::read_to_string(table).unwrap().contains(&local))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A free port that is a Homa port as well.
fn address() -> String {
    let pid = std::process::id() as u16;
    let free = (0..1000).map(|n| 10_000 + (pid.wrapping_mul(31).wrapping_add(n * 7)) % 20_000);
    let is_free = |port: &u16| {
        UdpSocket::bind(("127.0.0.1", *port)).is_ok()
            && TcpListener::bind(("127.0.0.1", *port)).is_ok()
    };
    format!("127.0.0.1:{}", free.into_iter().find(is_free).unwrap())
}

#[test]
fn pairs__run_over_both_transports_and_say_the_same() {
    for (name, expected) in
        [("helloworld", "RESPONSE=\"Hello Tonic!\""), ("routeguide", "NOTE = \"at 3\"")]
    {
        let outputs = ["", "_tcp"].map(|transport| {
            let address = address();
            let _server = Server::start(&format!("{name}_server{transport}"), &address);
            output(example(&format!("{name}_client{transport}")).arg(&address))
        });
        assert!(outputs[0].contains(expected), "{}", outputs[0]);
        assert_eq!(outputs[0], outputs[1]);
    }
}

#[test]
fn resilient__goes_on_when_a_server_is_gone() {
    let text = output(&mut example("resilient"));
    assert!(text.contains("health: Serving"), "{text}");
    assert!(text.contains("helloworld.Greeter"), "{text}");
    assert!(text.contains("Hello six!"), "{text}");
}

/// At most five lines a side, and those that the documents show.
#[test]
fn pairs__differ_in_few_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let docs = read(folder.join("../../docs/grpc-over-homa.md"));
    for name in ["helloworld_server", "helloworld_client", "routeguide_server", "routeguide_client"]
    {
        let [homa, tcp] = [name.to_owned(), format!("{name}_tcp")]
            .map(|name| read(folder.join(format!("examples/{name}.rs"))));
        let only_in = |one: &str, other: &str| -> Vec<String> {
            let is_code = |line: &&str| !line.starts_with("//!");
            let lines = one.lines().filter(is_code);
            lines.filter(|line| !other.lines().any(|o| o == *line)).map(str::to_owned).collect()
        };
        for lines in [only_in(&homa, &tcp), only_in(&tcp, &homa)] {
            assert!((1..=5).contains(&lines.len()), "{name}: {lines:#?}");
            for line in lines {
                assert!(docs.contains(line.trim()), "the documents do not show: {line}");
            }
        }
    }
}
