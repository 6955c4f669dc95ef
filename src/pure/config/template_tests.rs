//! What an operator may write of an agent's dialect, and what is said of mistakes.

use super::*;
use serde_json::json;

fn read(value: &Value) -> Result<Template, String> {
    let fields = value.as_object().expect("an object");
    let args = fields.get("args").map(|args| strings(args).expect("args")).unwrap_or_default();
    template(fields, args)
}

#[test]
fn a_template_is_read() {
    let found = read(&json!({
        "args": ["run", "--id={session}"], "resume_args": ["more", "{session}"],
        "prompt": {"say": "{prompt}"}, "output": "stream",
        "stream": {"session": "who.id", "result": {"path": "text", "where": {"kind": "end"}}},
        "failures": {"rate_limit": {"where": {"code": 429}, "exit_codes": [75]}},
        "session_unknown": {"exit_codes": [4]},
    }))
    .expect("a template");
    assert_eq!(found.prompt, PromptWay::Line(json!({"say": "{prompt}"})));
    let Output::Stream(rules) = &found.dialect.output else { panic!("a stream") };
    let end = json!({"kind": "end", "text": "done"});
    let result = rules.result.as_ref().expect("a rule");
    assert_eq!(result.find(&end), Some(&json!("done")));
    assert_eq!(result.find(&json!({"kind": "step", "text": "x"})), None);
    let (class, condition) = &found.dialect.failures[0];
    assert_eq!(*class, ErrorType::RateLimit);
    assert!(condition.holds_of(&json!({"code": 429})) && condition.holds_at(75));
    assert!(!condition.holds_of(&json!({"code": 500})) && !condition.holds_at(0));
}

#[test]
fn paths_are_words_and_indices() {
    let event = json!({"a": [{"b": 1}, {"b": null}], "c": {"0": "zero"}});
    for (text, want) in [
        ("a.0.b", Some(json!(1))),
        ("a.1.b", None),
        ("a.2.b", None),
        ("a.b", None),
        ("c.0", Some(json!("zero"))),
        ("x", None),
    ] {
        assert_eq!(path(text).expect("a path").find(&event), want.as_ref(), "{text}");
    }
    for text in ["", ".", "a.", ".a", "a..b"] {
        assert!(path(text).is_err(), "{text}");
    }
}

#[test]
fn a_value_fits_as_a_whole_or_where_a_star_leaves_room() {
    for (wanted, found, want) in [
        (json!("SUCCESS"), json!("SUCCESS"), true),
        (json!("SUCCESS"), json!("SUCCESSFUL"), false),
        (json!("limit*"), json!("limit reached"), true),
        (json!("*limit"), json!("rate limit"), true),
        (json!("*limit*"), json!("a limit was met"), true),
        (json!("*limit*"), json!("all is well"), false),
        (json!("*"), json!("anything"), true),
        (json!(429), json!(429), true),
        (json!(429), json!("429"), false),
        (json!(true), json!(true), true),
        (json!(null), json!(null), true),
        (json!(null), json!(1), false),
    ] {
        let one = Match { path: path("x").expect("a path"), value: wanted.clone() };
        assert_eq!(one.holds(&json!({ "x": found })), want, "{wanted} {found}");
    }
}

#[test]
fn mistakes_are_seen_before_anything_runs() {
    let stream = json!({"result": "r"});
    for (value, want) in [
        (json!({"prompt": "stdin"}), "output must be text or stream"),
        (json!({"output": "json"}), "output must be text or stream"),
        (json!({"output": "stream"}), "output: stream needs stream, with the paths into it"),
        (json!({"output": "text", "stream": stream}), "stream: the output is text"),
        (
            json!({"output": "stream", "stream": {"error": "e"}}),
            "stream: result must say where its final word stands",
        ),
        (
            json!({"output": "stream", "stream": {"reslt": "e"}}),
            "stream: unknown setting reslt (did you mean result?)",
        ),
        (
            json!({"output": "stream", "stream": {"result": "a..b"}}),
            "stream: result: \"a..b\" is no path",
        ),
        (
            json!({"output": "stream", "stream": {"result": {"wher": {}}}}),
            "stream: result: unknown setting wher (did you mean where?)",
        ),
        (
            json!({"output": "stream", "stream": {"result": {"where": {"a": []}}}}),
            "stream: result: where: a: it must be one value",
        ),
        (
            json!({"output": "text", "args": ["{sesion}"]}),
            "unknown placeholder {sesion} (did you mean {session}?)",
        ),
        (json!({"output": "text", "prompt": "file"}), "args: no argument has {prompt_file}"),
        (
            json!({"output": "text", "args": ["{prompt_file}"]}),
            "args: {prompt_file} needs prompt: \"file\"",
        ),
        (
            json!({"output": "text", "resume_args": ["--last"]}),
            "resume_args: no argument has {session}",
        ),
        (json!({"output": "text", "prompt": {"a": "b"}}), "prompt: no text in it has {prompt}"),
        (
            json!({"output": "text", "prompt": "argv"}),
            "prompt: \"argv\" is neither stdin nor file nor a line of JSON",
        ),
        (
            json!({"output": "text", "failures": {"rate_limt": {}}}),
            "failures: unknown setting rate_limt (did you mean rate_limit?)",
        ),
        (
            json!({"output": "text", "failures": {"auth": {}}}),
            "failures: auth: where or exit_codes is missing",
        ),
        (
            json!({"output": "text", "failures": {"auth": {"exit_codes": [0]}}}),
            "failures: auth: exit_codes: 0 is none of 1 to 255",
        ),
    ] {
        assert_eq!(read(&value), Err(want.to_string()), "{value}");
    }
    // Braces that are no placeholder are an argument's own.
    assert!(read(&json!({"output": "text", "args": ["{\"a\":{}}", "{A}"]})).is_ok());
}

#[test]
fn a_placeholder_needs_its_value() {
    let found = read(&json!({"output": "text", "args": ["--model={model}"]})).expect("a template");
    let want = "an argument has {model}, so model must be set";
    assert_eq!(found.check_values(false, true), Err(want.to_string()));
    assert_eq!(found.check_values(true, false), Ok(()));
}
