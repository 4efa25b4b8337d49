//! What an endpoint says that it holds.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use common::{PORT, config_for, contents, endpoint, serving};
use homa::Config;
use homa::proto::{Account, Accounts, Resource};

fn row(accounts: &Accounts, resource: Resource) -> Account {
    accounts.get(resource).unwrap()
}

#[tokio::test]
async fn accounts__follow_requests_from_arrival_to_answer() {
    let (server_endpoint, server, addr) = serving(config_for(1_000_000)).await;
    let client = endpoint(Config::default()).await;
    for n in 0..3 {
        client.send(addr, contents(n, 100_000)).unwrap();
    }
    while row(&server_endpoint.accounts().endpoint, Resource::UnreadBytes).used < 300_000 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let accounts = server_endpoint.accounts();
    let host = accounts.endpoint;
    assert_eq!(row(&host, Resource::UnacceptedRequests).used, 3);
    assert_eq!(row(&host, Resource::IncomingBytes).used, 3 * 131_072);
    assert_eq!(row(&host, Resource::StoreIncomingBytes).used / 131_072, 3);
    assert_eq!(row(&host, Resource::Peers).used, 1);
    let [(PORT, of_port)] = accounts.servers[..] else { panic!("one port: {accounts:?}") };
    assert_eq!(row(&of_port, Resource::ServerRpcs).used, 3);
    assert_eq!(row(&of_port, Resource::UnacceptedRequests).used, 3);
    assert_eq!(row(&client.accounts().client, Resource::Calls).used, 3);

    let mut requests = Vec::new();
    while requests.len() < 3 {
        server.accept_batch(&mut requests, 3).await;
    }
    let host = server_endpoint.accounts().endpoint;
    assert_eq!(row(&host, Resource::IncomingBytes).used, 0);
    assert_eq!(row(&host, Resource::UnansweredRequests).used, 3);
    assert!(row(&host, Resource::ChunkBytes).used >= 6 * 65_536, "the application holds them");
    for mut request in requests {
        request.reply("done").unwrap();
    }
    for _ in 0..3 {
        client.recv().await.unwrap().1.unwrap();
    }
    let host = server_endpoint.accounts().endpoint;
    assert_eq!(row(&host, Resource::UnansweredRequests).used, 0);
    let unaccepted = row(&host, Resource::UnacceptedRequests);
    assert_eq!((unaccepted.used, unaccepted.high_water), (0, 3));
    assert_eq!(row(&client.accounts().endpoint, Resource::Calls).used, 0);
    assert_eq!(host.iter().count(), Resource::COUNT, "every row is there");
    client.close();
    assert_eq!(client.accounts(), homa::Accounts::default());
}
