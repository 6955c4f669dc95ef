//! What people see of an agent that the settings describe.

use serde_json::json;

use crate::pure::agent::stream_item::items_of;
use crate::pure::agent::{DRIVERS, Drivers, StreamItem};
use crate::pure::config::{Settings, apply_config};

fn told(entry: serde_json::Value, stream: &str) -> Vec<StreamItem> {
    let mut settings = Settings::default();
    apply_config(&mut settings, &json!({"agents": {"agy": entry}})).expect("config");
    let drivers = Drivers::new(DRIVERS).by(&settings).expect("a table");
    items_of(drivers.get("agy").expect("a row"), stream)
}

#[test]
fn the_rules_say_what_is_told_and_plain_text_is_told_as_it_is() {
    let rules = json!({"output": "stream", "stream": {
        "text": "say", "tool": "tool.name", "result": "end", "error": "error"
    }});
    let stream = [
        r#"{"say":"hello"}"#,
        r#"{"tool":{"name":"shell"}}"#,
        r#"{"other":1}"#,
        "no json",
        r#"{"end":"done"}"#,
        r#"{"error":"quota"}"#,
    ];
    let outcome = |text: &str, is_error| StreamItem::Outcome { text: Some(text.into()), is_error };
    assert_eq!(
        told(rules, &stream.join("\n")),
        [
            StreamItem::Text("hello".into()),
            StreamItem::ToolCall {
                tool: "shell".into(),
                input: serde_json::Value::Null,
                call: None
            },
            StreamItem::Other("no json".into()),
            outcome("done", false),
            outcome("quota", true),
        ]
    );
    let text = [StreamItem::Text("{\"say\":1}".into()), StreamItem::Text("b".into())];
    assert_eq!(told(json!({"output": "text"}), "{\"say\":1}\nb"), text);
}
