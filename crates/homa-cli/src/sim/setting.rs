//! Parameters by their path in the configuration, and files of them.

use std::str::FromStr;

use homa_sim::SimConfig;
use serde_json::{Map, Value};

use crate::units::Size;

/// Fields that say which other fields their object has: another value means another object.
const TAGS: [&str; 2] = ["shape", "pattern"];

/// `KEY=VALUE`, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Path in the configuration.
    pub(super) key: String,
    pub(super) text: String,
}

impl Setting {
    pub(super) fn new(key: &str, value: impl ToString) -> Self {
        Self { key: key.into(), text: value.to_string() }
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if is_path(key) => Ok(Self::new(key, value)),
            _ => Err(format!("'{text}' is not KEY=VALUE, such as homa.overcommit=4")),
        }
    }
}

/// Whether this can be a path in the configuration.
pub(super) fn is_path(key: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    key.split('.').all(is_name)
}

/// Puts the value in its place, whatever is there.
pub(super) fn set(config: &mut Value, setting: &Setting) {
    let (parents, name) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
    let path = parents.split('.').filter(|name| !name.is_empty());
    let parent =
        path.fold(config, |place, name| as_object(place).entry(name).or_insert(Value::Null));
    let parent = as_object(parent);
    let value = value(&setting.text, parent.get(name));
    if is_other_kind(parent, name, &value) {
        parent.clear();
    }
    parent.insert(name.into(), value);
}

/// Puts what a file says in the place of what it speaks of.
pub(super) fn overlay(config: &mut Value, file: Value) {
    let Value::Object(fields) = file else {
        *config = file;
        return;
    };
    let target = as_object(config);
    for tag in TAGS {
        if fields.get(tag).is_some_and(|value| is_other_kind(target, tag, value)) {
            target.clear();
        }
    }
    for (name, value) in fields {
        overlay(target.entry(name).or_insert(Value::Null), value);
    }
}

/// The configuration that a tree of values says.
pub(super) fn read(config: Value) -> Result<SimConfig, String> {
    serde_path_to_error::deserialize(config).map_err(|error| {
        let path = error.path().to_string();
        format!("{path}: {}", error.into_inner())
    })
}

/// Whether such a value of a tag means another kind of object than `fields` are.
fn is_other_kind(fields: &Map<String, Value>, name: &str, value: &Value) -> bool {
    TAGS.contains(&name) && fields.get(name).is_some_and(|present| present != value)
}

/// What was written, as the kind of value that is there: text is taken as it is, numbers may be sizes.
fn value(text: &str, present: Option<&Value>) -> Value {
    let as_text = || Value::String(text.into());
    if present.is_some_and(Value::is_string) && !text.starts_with('{') {
        return as_text();
    }
    let size = |_| text.parse::<Size>().map(|size| Value::from(size.0));
    serde_json::from_str(text).or_else(size).unwrap_or_else(|_| as_text())
}

/// The object that is there, or a new one in the place of anything else.
fn as_object(place: &mut Value) -> &mut Map<String, Value> {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    place.as_object_mut().expect("it is one")
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use homa_sim::{Exchange, Pattern, Shape};
    use serde_json::json;

    use super::*;

    fn after(settings: &[&str]) -> Result<SimConfig, String> {
        let mut config = serde_json::to_value(SimConfig::default()).unwrap();
        for setting in settings {
            set(&mut config, &setting.parse()?);
        }
        read(config)
    }

    #[test]
    fn set__takes_paths_and_sizes() {
        let config = after(&["load=1", "seed=7", "homa.overcommit=3"]).unwrap();
        assert_eq!((config.load, config.seed, config.homa.overcommit), (1.0, 7, 3));
        let config = after(&["homa.unscheduled_bytes=10K", "network.loss_permille=0.5"]).unwrap();
        assert_eq!((config.homa.unscheduled_bytes, config.network.loss_permille), (10_000, 0.5));
        assert_eq!(after(&["workload=1000"]).unwrap().workload, "1000");
        let config = after(&["homa.unscheduled_priorities=null", "messages=1K"]).unwrap();
        assert_eq!((config.homa.unscheduled_priorities, config.messages), (None, 1000));
    }

    #[test]
    fn set__changes_the_kind_of_what_has_kinds() {
        let config = after(&["network.topology.shape=fat_tree", "network.topology.k=4"]).unwrap();
        assert_eq!(config.network.topology, Shape::FatTree { k: 4 });
        let config = after(&["network.topology.racks=2"]).unwrap();
        assert_eq!(config.network.topology.hosts(), 32);
        let config = after(&["traffic.pattern=incast", "traffic.senders=9"]).unwrap();
        assert_eq!(config.traffic, Pattern::Incast { senders: 9 });
        assert_eq!(after(&["exchange.reply=5"]).unwrap().exchange, Exchange::Reply(5));
        assert_eq!(after(&["exchange={\"reply\":5}"]).unwrap().exchange, Exchange::Reply(5));
        assert_eq!(after(&["exchange=echo"]).unwrap().exchange, Exchange::Echo);
        let incast = after(&["incast.senders=3", "incast.bytes=1M", "incast.share=0.1"]);
        assert_eq!(incast.unwrap().incast.unwrap().bytes, 1_000_000);
    }

    #[test]
    fn set__what_does_not_exist_is_named() {
        for (setting, complaint) in [
            ("homa.overcomit=4", "homa.overcomit: unknown field `overcomit`, expected"),
            ("lod=4", "lod: unknown field"),
            ("load=high", "load: invalid type: string \"high\", expected f64"),
            ("seed=-1", "seed: invalid value"),
            ("load.x=1", "load: invalid type: map"),
            ("load", "KEY=VALUE"),
            ("=1", "KEY=VALUE"),
            ("homa..x=1", "KEY=VALUE"),
        ] {
            let why = after(&[setting]).unwrap_err();
            assert!(why.contains(complaint), "{setting}: {why}");
        }
    }

    #[test]
    fn overlay__leaves_what_a_file_does_not_speak_of() {
        let mut config = serde_json::to_value(SimConfig::default()).unwrap();
        let single = json!({"shape": "single_switch", "hosts": 5});
        let file = json!({"load": 0.3, "network": {"host_gbps": 25, "topology": single}});
        overlay(&mut config, file);
        let config = read(config).unwrap();
        assert_eq!(
            (config.load, config.network.host_gbps, config.network.core_gbps),
            (0.3, 25.0, 40.0)
        );
        assert_eq!(config.network.topology, Shape::SingleSwitch { hosts: 5 });
    }
}
