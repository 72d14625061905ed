//! A small map that forgets what was not used for longest.

use std::collections::HashMap;

/// Values by text, at most as many as it was made for.
#[derive(Debug)]
pub struct Bounded<V> {
    values: HashMap<Box<str>, Slot<V>>,
    capacity: usize,
    /// Counts uses; 64 bits do not overflow in the life of a process.
    uses: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    last_use: u64,
}

impl<V: Clone> Bounded<V> {
    /// An empty map for at most `capacity` values.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { values: HashMap::new(), capacity, uses: 0 }
    }

    /// The value of `key`, which counts as a use.
    pub fn get(&mut self, key: &str) -> Option<V> {
        self.uses += 1;
        let slot = self.values.get_mut(key)?;
        slot.last_use = self.uses;
        Some(slot.value.clone())
    }

    /// Keeps `value`; when the map is full, the one unused for longest makes room.
    pub fn insert(&mut self, key: &str, value: V) {
        self.uses += 1;
        if self.values.len() >= self.capacity && !self.values.contains_key(key) {
            let oldest = self.values.iter().min_by_key(|(_, slot)| slot.last_use).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.values.remove(&oldest);
            }
        }
        self.values.insert(key.into(), Slot { value, last_use: self.uses });
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_unused_for_longest_makes_room() {
        let mut map = Bounded::new(2);
        map.insert("a", 1);
        map.insert("b", 2);
        assert_eq!(map.get("a"), Some(1));
        map.insert("c", 3);
        assert_eq!((map.get("a"), map.get("b"), map.get("c"), map.len()), (Some(1), None, Some(3), 2));
        map.insert("a", 4);
        assert_eq!((map.get("a"), map.get("c"), map.len()), (Some(4), Some(3), 2), "replacing needs no room");
        map.remove("a");
        assert_eq!((map.get("a"), map.len()), (None, 1));
    }
}
