//! Which channels there are, and who may listen: by the beginnings of their names.

use sluice_wire::Tag;

/// Names that were registered. The longest that fits decides.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<(String, bool)>);

impl Names {
    /// With one more; registered again, a name is as it was said last.
    pub(super) fn with(mut self, name: &str, open: bool) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), open));
        self
    }

    /// True when anybody may listen, false when a token is needed, `None` when there is no such channel.
    pub(super) fn is_open(&self, channel: &Tag) -> Option<bool> {
        let fits = |name: &str| {
            channel.as_str() == name || (name.ends_with(':') && channel.as_str().starts_with(name))
        };
        let fitting = self.0.iter().filter(|(name, _)| fits(name));
        fitting.max_by_key(|(name, _)| name.len()).map(|(_, open)| *open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_decides_and_others_are_unknown() {
        let names = Names::default().with("v:", true).with("v:secret:", false).with("videos", true);
        let of = |channel: &str| names.is_open(&Tag::new(channel).unwrap());
        assert_eq!((of("v:1"), of("v:secret:1"), of("videos")), (Some(true), Some(false), Some(true)));
        assert_eq!((of("videos2"), of("v"), of("chat:1")), (None, None, None));
        assert_eq!(names.with("v:", false).is_open(&Tag::new("v:1").unwrap()), Some(false));
    }
}
