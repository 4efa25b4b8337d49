//! tonic's client of the route guide over Homa: `routeguide_client_tcp` with another constructor.

mod routeguide;

use homa_grpc::HomaChannel;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5052".to_owned());
    let endpoint = homa::Endpoint::client(homa::Config::default()).await?;
    let channel = HomaChannel::connect(&endpoint, &*addr)?;

    routeguide::tour(homa_grpc_interop::channel(channel)).await
}
