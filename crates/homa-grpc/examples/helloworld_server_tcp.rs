//! tonic's greeter over HTTP/2: to be compared with `helloworld_server`.

mod helloworld;

use helloworld::MyGreeter;
use homa_grpc_interop::helloworld::greeter_server::GreeterServer;
use tonic::transport::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5051".to_owned());
    let greeter = MyGreeter::default();

    println!("GreeterServer listening on {addr}");

    let listen = addr.parse()?;
    Server::builder().add_service(GreeterServer::new(greeter)).serve(listen).await?;

    Ok(())
}
