//! The sweep's values at one of its points.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Paths and their values, in the order of the sweep's axes: in JSON an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Swept(Vec<(String, Value)>);

impl Swept {
    pub(super) fn pairs(&self) -> &[(String, Value)] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Value)> for Swept {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Serialize for Swept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Swept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Swept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Swept, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Swept(pairs))
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn json__keeps_the_order() {
        let text = r#"{"workload":"w1","load":0.5,"homa.cutoffs":null}"#;
        let swept: Swept = serde_json::from_str(text).unwrap();
        assert_eq!(swept.pairs()[0].0, "workload");
        assert_eq!(serde_json::to_string(&swept).unwrap(), text);
        assert!(serde_json::from_str::<Swept>("[1]").is_err());
    }
}
