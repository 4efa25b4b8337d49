//! tonic's greeter over Homa: `helloworld_server_tcp` with another constructor.

mod helloworld;

use helloworld::MyGreeter;
use homa_grpc::Server;
use homa_grpc_interop::helloworld::greeter_server::GreeterServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5051".to_owned());
    let greeter = MyGreeter::default();

    println!("GreeterServer listening on {addr}");

    let listen = homa::Endpoint::bind(addr, homa::Config::default()).await?;
    Server::builder().add_service(GreeterServer::new(greeter)).serve(listen).await?;

    Ok(())
}
