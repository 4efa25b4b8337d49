//! tonic's route guide over HTTP/2: to be compared with `routeguide_server`.

mod routeguide;

use homa_grpc_interop::routeguide::route_guide_server::RouteGuideServer;
use routeguide::Guide;
use tonic::transport::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5052".to_owned());

    println!("RouteGuideServer listening on {addr}");

    let guide = RouteGuideServer::new(Guide::default());
    let listen = addr.parse()?;
    Server::builder().add_service(guide).serve(listen).await?;

    Ok(())
}
