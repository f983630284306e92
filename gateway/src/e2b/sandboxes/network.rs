//! What clients say about a sandbox's connections to the outside, and
//! `PUT /sandboxes/{id}/network` (e2b-wire.md, section 3.9).
//!
//! Create and update take the same rules; they are read here for both. What is not supported
//! is refused, so that nobody believes in a rule that does not hold.

use crate::{
    e2b::{ApiError, Authenticated, SandboxPath, body::JsonBody},
    gateway::App,
    sandboxes::NetworkSettings,
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use soulbox_runtime::{
    Network,
    network::{ALL_TRAFFIC, parse_block},
};
use std::sync::Arc;

/// The contract's bound on `dnsServers`.
const DNS_SERVERS: usize = 10;

/// Settings that an update replaces, absent ones included. Others stay as they were created.
const REPLACED: [&str; 5] = ["allowOut", "denyOut", "egressProxy", "rules", "dnsServers"];

/// The rules of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rules {
    allow_out: Option<Vec<String>>,
    deny_out: Option<Vec<String>>,
    dns_servers: Option<Vec<String>>,
    egress_proxy: Option<Value>,
    rules: Option<Map<String, Value>>,
}

/// Replaces all rules.
pub async fn update(
    State(app): State<Arc<App>>,
    _: Authenticated,
    SandboxPath(id): SandboxPath,
    body: JsonBody<Map<String, Value>>,
) -> Result<StatusCode, ApiError> {
    let mut asked = body.value;
    let allow_internet = match asked.remove("allow_internet_access") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(allowed)) => Some(allowed),
        Some(_) => return Err(ApiError::bad("allow_internet_access must be true or false")),
    };
    asked.retain(|name, value| REPLACED.contains(&name.as_str()) && !value.is_null());
    let asked = Value::Object(asked);
    let rules = read(Some(&asked), allow_internet)?;
    let shown = |before: NetworkSettings| NetworkSettings {
        allow_internet,
        network: replaced(before.network, asked),
    };
    app.sandboxes.set_network(&id, &rules, shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The rules in a `network` object.
pub fn read(network: Option<&Value>, allow_internet: Option<bool>) -> Result<Network, ApiError> {
    let asked = match network {
        None | Some(Value::Null) => Rules::default(),
        Some(settings) => Rules::deserialize(settings)
            .map_err(|error| ApiError::bad(format!("network can't be read: {error}")))?,
    };
    if asked.egress_proxy.is_some() {
        let message = "network.egressProxy is not supported on this server";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message));
    }
    if asked.rules.is_some_and(|rules| !rules.is_empty()) {
        return Err(ApiError::bad(
            "network.rules is not supported on this server",
        ));
    }
    let mut allow = asked.allow_out.unwrap_or_default();
    let mut deny = asked.deny_out.unwrap_or_default();
    if allow_internet == Some(false) {
        deny.push(ALL_TRAFFIC.to_owned());
    }
    // Names are looked up outside the sandbox, so by default no name server needs to be open.
    let names = allow.iter().any(|rule| parse_block(rule).is_none());
    let servers = asked.dns_servers.unwrap_or_default();
    let is_v4 = |text: &String| text.parse::<std::net::Ipv4Addr>().is_ok();
    if servers.len() > DNS_SERVERS || !servers.iter().all(is_v4) {
        return Err(ApiError::bad(format!(
            "network.dnsServers takes up to {DNS_SERVERS} IPv4 addresses"
        )));
    }
    if names {
        allow.extend(servers);
    }
    Network::parse(&allow, &deny).map_err(|error| ApiError::bad(error.to_string()))
}

fn replaced(before: Option<Value>, asked: Value) -> Option<Value> {
    let mut settings = match before {
        Some(Value::Object(settings)) => settings,
        _ => Map::new(),
    };
    settings.retain(|name, _| !REPLACED.contains(&name.as_str()));
    if let Value::Object(asked) = asked {
        settings.extend(asked);
    }
    (!settings.is_empty()).then_some(Value::Object(settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(network: Value, allow_internet: Option<bool>) -> Result<Network, String> {
        read(Some(&network), allow_internet).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn off_is_the_same_as_denying_all_traffic() {
        assert_eq!(read(None, Some(false)).unwrap(), Network::off());
        assert_eq!(read(None, None).unwrap(), Network::open());
        assert_eq!(
            status(json!({"denyOut": ["0.0.0.0/0"]}), Some(true)),
            Ok(Network::off())
        );
        assert!(status(json!({"allowOut": ["a.example"]}), Some(false)).is_ok());
    }

    #[test]
    fn bad_rules_are_refused_in_the_words_of_the_contract() {
        let said = |network| status(network, None).unwrap_err();
        assert!(said(json!({"denyOut": ["a.example"]})).contains("invalid denied CIDR a.example"));
        assert!(said(json!({"allowOut": ["a b"]})).contains("invalid allowed address a b"));
        assert!(said(json!({"allowOut": ["a.example"]})).contains("0.0.0.0/0"));
        assert!(said(json!({"allowOut": "a.example"})).contains("can't be read"));
        assert!(said(json!({"egressProxy": {"address": "a:1"}})).contains("403"));
        assert!(said(json!({"rules": {"a.example": []}})).contains("rules"));
        assert!(said(json!({"dnsServers": ["::1"]})).contains("dnsServers"));
        assert!(status(json!({"egressProxy": null, "rules": {}}), None).is_ok());
    }

    #[test]
    fn an_update_leaves_what_it_cannot_say() {
        let before = json!({"maskRequestHost": "a:1", "denyOut": ["8.8.8.8"]});
        let now = replaced(Some(before), json!({"allowOut": ["1.1.1.1"]}));
        assert_eq!(
            now,
            Some(json!({"maskRequestHost": "a:1", "allowOut": ["1.1.1.1"]}))
        );
        assert_eq!(replaced(Some(json!({"denyOut": []})), json!({})), None);
    }
}
