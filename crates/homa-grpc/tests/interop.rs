//! gRPC's interoperability cases over Homa: on a good network, and on one that loses, doubles and
//! reorders packets.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa::{Config, Endpoint, FaultPlan};
use homa_grpc::{HomaChannel, Server};
use homa_grpc_interop::cases::{self, Client};
use homa_grpc_interop::service::InteropService;
use homa_grpc_interop::{Channel, channel, compressed_cases};

/// A server with the service, and a channel to it.
struct Setup {
    channel: Channel,
    /// Endpoints close when nobody has them.
    _endpoints: [Endpoint; 2],
}

async fn setup(faults: Option<&str>) -> Setup {
    let mut config = Config::default();
    // The cases are about what is said: on a busy machine either side may be without a processor for long.
    config.proto.timing.timeout = homa::proto::Duration::from_secs(2);
    config.fault = faults.map(|plan| plan.parse::<FaultPlan>().unwrap());
    let serving = Endpoint::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let port = serving.serve(7).unwrap();
    tokio::spawn(Server::builder().add_service(InteropService::new()).serve(port));
    let calling = Endpoint::bind("127.0.0.1:0", config).await.unwrap();
    let addr = homa::Addr::new(serving.local_addr(), 7).unwrap();
    let channel = channel(HomaChannel::connect(&calling, addr).unwrap());
    Setup { channel, _endpoints: [serving, calling] }
}

/// Of both networks: what each case finds there.
macro_rules! cases {
    ($($name:ident: $case:expr;)*) => {
        mod without_faults {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let setup = setup(None).await;
                    $case(cases::client(setup.channel.clone())).await;
                }
            )*
        }

        mod with_faults {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let setup = setup(Some("drop=0.05,dup=0.05,reorder=0.05")).await;
                    $case(cases::client(setup.channel.clone())).await;
                }
            )*
        }
    };
}

async fn many_large_unary(client: Client) {
    cases::concurrent_large_unary(client, 1000).await;
}

cases! {
    empty_unary: cases::empty_unary;
    large_unary: cases::large_unary;
    client_streaming: cases::client_streaming;
    server_streaming: cases::server_streaming;
    ping_pong: cases::ping_pong;
    empty_stream: cases::empty_stream;
    client_compressed_unary: compressed_cases::client_compressed_unary;
    server_compressed_unary: compressed_cases::server_compressed_unary;
    client_compressed_streaming: compressed_cases::client_compressed_streaming;
    server_compressed_streaming: compressed_cases::server_compressed_streaming;
    custom_metadata: cases::custom_metadata;
    status_code_and_message: cases::status_code_and_message;
    special_status_message: cases::special_status_message;
    unimplemented_method: cases::unimplemented_method;
    cancel_after_begin: cases::cancel_after_begin;
    cancel_after_first_response: cases::cancel_after_first_response;
    timeout_on_sleeping_server: cases::timeout_on_sleeping_server;
    concurrent_large_unary: many_large_unary;
}

#[tokio::test]
async fn unimplemented_service__without_faults() {
    cases::unimplemented_service(setup(None).await.channel.clone()).await;
}

#[tokio::test]
async fn unimplemented_service__with_faults() {
    let setup = setup(Some("drop=0.05,dup=0.05,reorder=0.05")).await;
    cases::unimplemented_service(setup.channel.clone()).await;
}
