//! What a server holds of everything that grows, for people or as JSON (schema `homa-accounts/1`).

use clap::ValueEnum;
use homa::Accounts;
use homa::proto::{self, Account};
use serde_json::{Map, Value, json};

use crate::figures_table::figures_table;
use crate::transport::TurnedAway;

/// How accounts are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccountsFormat {
    /// A table
    Text,
    /// One JSON object in a line
    Json,
}

impl AccountsFormat {
    /// The accounts in this form.
    pub(crate) fn of(self, accounts: &Accounts, turned_away: &TurnedAway) -> String {
        match self {
            Self::Text => format!("{}\n{turned_away}", table(accounts)),
            Self::Json => json(accounts, turned_away).to_string(),
        }
    }
}

/// The limit of a row, if there is one. Those of sockets may be all ones: none but the endpoint's.
fn limit(account: &Account) -> Option<u64> {
    account.limit.filter(|limit| ![u64::from(u32::MAX), u64::MAX].contains(limit))
}

fn table(accounts: &Accounts) -> String {
    let mut table = figures_table(["held by", "account", "used", "limit", "most", "refusals"], 2);
    for (holder, rows) in holders(accounts) {
        for (resource, account) in rows.iter() {
            table.add_row([
                holder.clone(),
                resource.to_string(),
                account.used.to_string(),
                limit(&account).map_or("-".to_owned(), |limit| limit.to_string()),
                account.high_water.to_string(),
                account.refusals.to_string(),
            ]);
        }
    }
    table.to_string()
}

fn json(accounts: &Accounts, turned_away: &TurnedAway) -> Value {
    let mut object = Map::new();
    object.insert("schema".into(), "homa-accounts/1".into());
    let turned_away = json!({
        "requests": turned_away.requests,
        "peer_share": turned_away.peer_share,
        "queue_delay": turned_away.queue_delay,
        "no_room": turned_away.no_room(),
        "inactive": turned_away.inactive,
    });
    object.insert("turned_away".into(), turned_away);
    for (holder, rows) in holders(accounts) {
        let rows = rows.iter().map(|(resource, account)| {
            let row = json!({
                "used": account.used,
                "limit": limit(&account),
                "high_water": account.high_water,
                "refusals": account.refusals,
            });
            (resource.to_string(), row)
        });
        object.insert(holder, Value::Object(rows.collect()));
    }
    Value::Object(object)
}

fn holders(accounts: &Accounts) -> Vec<(String, proto::Accounts)> {
    let mut holders =
        vec![("endpoint".to_owned(), accounts.endpoint), ("client".to_owned(), accounts.client)];
    holders.extend(accounts.servers.iter().map(|(port, rows)| (format!("port {port}"), *rows)));
    holders
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use homa::proto::Resource;

    use super::*;

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        let row = Account { used: 7, limit: Some(100), high_water: 9, refusals: 2 };
        accounts.endpoint.set(Resource::Peers, row);
        let mut port = proto::Accounts::default();
        port.set(Resource::ServerRpcs, Account { limit: Some(u64::MAX), ..row });
        port.set(Resource::IncomingBytes, Account { limit: Some(1 << 40), ..row });
        port.set(Resource::ClientRpcs, Account { limit: Some(u32::MAX.into()), ..row });
        port.set(Resource::Events, Account { limit: None, ..row });
        accounts.servers.push((4000, port));
        accounts
    }

    const TURNED_AWAY: TurnedAway =
        TurnedAway { requests: 9, peer_share: 2, queue_delay: 3, inactive: 1 };

    #[test]
    fn of__text_has_a_row_for_each_account() {
        let text = AccountsFormat::Text.of(&accounts(), &TURNED_AWAY);
        let row = |name: &str| {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            let cells = line.split(['│', '┆']).map(str::trim);
            cells.filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("peers"), ["endpoint", "peers", "7", "100", "9", "2"]);
        assert_eq!(row("server_rpcs"), ["port 4000", "server_rpcs", "7", "-", "9", "2"]);
        assert_eq!(row("incoming_bytes")[3], (1_u64 << 40).to_string());
        let why =
            "9 requests (2 of clients that had their share, 3 while others waited too long, 4 for";
        assert!(text.contains(why), "{text}");
    }

    #[test]
    fn of__json_is_one_line() {
        let text = AccountsFormat::Json.of(&accounts(), &TURNED_AWAY);
        assert!(!text.contains('\n'));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "homa-accounts/1");
        assert_eq!(value["endpoint"]["peers"]["high_water"], 9);
        let port = &value["port 4000"];
        assert_eq!(port["server_rpcs"]["used"], 7);
        for unlimited in ["server_rpcs", "client_rpcs", "events"] {
            assert_eq!(port[unlimited]["limit"], Value::Null, "{unlimited}");
        }
        assert_eq!(port["incoming_bytes"]["limit"], 1_u64 << 40);
        let expected =
            json!({"requests": 9, "peer_share": 2, "queue_delay": 3, "no_room": 4, "inactive": 1});
        assert_eq!(value["turned_away"], expected);
    }
}
