//! tonic's client of the greeter over Homa: `helloworld_client_tcp` with another constructor.

use homa_grpc::HomaChannel;
use homa_grpc_interop::helloworld::HelloRequest;
use homa_grpc_interop::helloworld::greeter_client::GreeterClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:5051".to_owned());
    let endpoint = homa::Endpoint::client(homa::Config::default()).await?;
    let channel = HomaChannel::connect(&endpoint, &*addr)?;
    let mut client = GreeterClient::new(channel);

    let request = tonic::Request::new(HelloRequest { name: "Tonic".to_owned() });
    let response = client.say_hello(request).await?;

    println!("RESPONSE={:?}", response.into_inner().message);

    Ok(())
}
