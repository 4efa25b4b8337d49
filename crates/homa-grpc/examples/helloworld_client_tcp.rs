//! tonic's client of the greeter over HTTP/2: to be compared with `helloworld_client`.

use homa_grpc_interop::helloworld::HelloRequest;
use homa_grpc_interop::helloworld::greeter_client::GreeterClient;
use tonic::transport::Endpoint;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5051".to_owned());
    let channel = Endpoint::from_shared(format!("http://{addr}"))?.connect().await?;
    let mut client = GreeterClient::new(channel);

    let request = tonic::Request::new(HelloRequest { name: "Tonic".to_owned() });
    let response = client.say_hello(request).await?;

    println!("RESPONSE={:?}", response.into_inner().message);

    Ok(())
}
