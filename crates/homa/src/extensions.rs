//! What layers above keep for an endpoint.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

type Value = Arc<dyn Any + Send + Sync>;

/// One value of each type.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    values: Mutex<HashMap<TypeId, Value>>,
}

impl Extensions {
    /// The value of a type, which is made if there is none; not under the lock, so that others can be asked
    /// for meanwhile.
    pub(crate) fn get_or_make<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let key = TypeId::of::<T>();
        let values = || self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let found = values().get(&key).cloned();
        let value = found.unwrap_or_else(|| {
            let made: Value = Arc::new(make());
            Arc::clone(values().entry(key).or_insert(made))
        });
        value.downcast().expect("the key is the value's type")
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn get_or_make__one_value_of_each_type() {
        let extensions = Extensions::default();
        let number = extensions.get_or_make(|| 5_u32);
        assert_eq!(*extensions.get_or_make(|| 6_u32), 5);
        let text = extensions.get_or_make(|| {
            assert_eq!(*extensions.get_or_make(|| 7_u32), 5);
            "text"
        });
        assert_eq!((*number, *text), (5, "text"));
    }
}
