//! tonic's client of the route guide over HTTP/2: to be compared with `routeguide_client`.

mod routeguide;

use tonic::transport::Endpoint;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5052".to_owned());
    let channel = Endpoint::from_shared(format!("http://{addr}"))?.connect().await?;

    routeguide::tour(homa_grpc_interop::channel(channel)).await
}
