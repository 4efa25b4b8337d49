//! The cases hold over tonic's own transport: so what fails elsewhere is not the case. All but
//! `timeout_on_sleeping_server`: tonic ends the wait for a response's headers in time, but no stream.

use std::future::Future;
use std::time::Duration;

use homa_grpc_interop::cases::{self, client};
use homa_grpc_interop::service::InteropService;
use homa_grpc_interop::{Channel, channel, compressed_cases};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};

async fn connect() -> Channel {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = Server::builder().add_service(InteropService::new());
    tokio::spawn(server.serve_with_incoming(incoming));
    channel(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
}

/// Each in time: what hangs is named.
async fn hold(name: &str, case: impl Future<Output = ()>) {
    let done = tokio::time::timeout(Duration::from_secs(20), case).await;
    assert!(done.is_ok(), "{name} hangs");
}

macro_rules! all_hold {
    ($client:expr, $($case:path),* $(,)?) => {
        $(hold(stringify!($case), $case($client.clone())).await;)*
    };
}

#[tokio::test]
async fn all_cases_hold_over_tcp() {
    let channel = connect().await;
    let client = client(channel.clone());
    all_hold!(
        client,
        cases::empty_unary,
        cases::large_unary,
        cases::client_streaming,
        cases::server_streaming,
        cases::ping_pong,
        cases::empty_stream,
        cases::cancel_after_begin,
        cases::cancel_after_first_response,
        cases::custom_metadata,
        cases::status_code_and_message,
        cases::special_status_message,
        cases::unimplemented_method,
        compressed_cases::client_compressed_unary,
        compressed_cases::server_compressed_unary,
        compressed_cases::client_compressed_streaming,
        compressed_cases::server_compressed_streaming,
    );
    all_hold!(channel, cases::unimplemented_service);
    hold("concurrent_large_unary", cases::concurrent_large_unary(client, 20)).await;
}
