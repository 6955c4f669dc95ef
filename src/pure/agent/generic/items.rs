//! What an agent that the operator describes tells people: each line of a plain text, and of a
//! stream of JSON what the rules name.
//!
//! Keeps nothing between two lines. Must not know more of an event than the rules say, so that a
//! tool's answer is never shown: there is no rule for it.

use serde_json::Value;

use super::stream::words;
use crate::pure::agent::stream_item::{ItemReader, StreamItem, say};
use crate::pure::agent::{RESULT_BYTES_MAX, WORD_BYTES_MAX};
use crate::pure::config::dialect::{Rule, StreamRules};

pub(super) struct TextItems;

impl ItemReader for TextItems {
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem)) {
        each(StreamItem::Text(String::from_utf8_lossy(line).into_owned()));
    }
}

pub(super) struct RuleItems {
    pub rules: &'static StreamRules,
}

impl ItemReader for RuleItems {
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem)) {
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            return each(StreamItem::other(line));
        };
        let rules = self.rules;
        let find = |rule: &'static Option<Rule>| rule.as_ref().and_then(|rule| rule.find(&event));
        say(find(&rules.text).map(|text| words(text, RESULT_BYTES_MAX)).as_deref(), each);
        if let Some(tool) = find(&rules.tool) {
            let tool = Value::from(words(tool, WORD_BYTES_MAX));
            each(StreamItem::call(&tool, Value::Null, &Value::Null));
        }
        if let Some(result) = find(&rules.result) {
            let is_text = rules.result.as_ref().is_some_and(|rule| rule.path.is_some());
            let text = is_text.then(|| words(result, RESULT_BYTES_MAX));
            each(StreamItem::Outcome { text, is_error: false });
        } else if let Some(error) = find(&rules.error).filter(|error| **error != "") {
            let text = Some(words(error, RESULT_BYTES_MAX));
            each(StreamItem::Outcome { text, is_error: true });
        }
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
