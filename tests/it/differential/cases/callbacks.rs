//! Cases of what a callback is answered with.

use super::{Case, common, own};
use crate::differential::side::Side;
use crate::util::*;

fn callback(name: &'static str, answer: fn(&Server) -> Answer) -> Case {
    common(name, move |side| {
        let elsewhere = Server::start(vec![Answer::Status(200)]);
        let server = Server::start(vec![answer(&elsewhere)]);
        send_with_callback(side, &server.url);
        side.wait_event(&id(side.name), "callback");
        let requests = server.seen();
        side.fact("callback requests", requests.len());
        side.fact("callback requests elsewhere", elsewhere.seen().len());
        side.fact("callback method", &requests[0].method);
        side.fact("callback type", requests[0].header("content-type"));
        let report = side.report(&id(side.name)).expect("a report");
        side.fact(
            "callback body",
            if requests[0].report() == report { "the report" } else { "other" },
        );
        side.observe(&id(side.name));
    })
}

fn send_with_callback(side: &mut Side, url: &str) {
    side.start();
    side.lab.send(&side.task("hello").with("callback_url", url));
    side.settle(&id(side.name), &side.file());
}

pub fn callbacks() -> Vec<Case> {
    vec![
        callback("callback-200", |_| Answer::Status(200)),
        callback("callback-204", |_| Answer::Status(204)),
        callback("callback-500", |_| Answer::Status(500)),
        callback("callback-redirect", |elsewhere| Answer::Redirect(elsewhere.url.clone())),
        common("callback-to-nowhere", |side| {
            send_with_callback(side, "not a url");
            side.wait_event(&id(side.name), "callback");
            side.observe(&id(side.name));
        }),
        own("callback-local-only", |side| {
            let server = Server::start(vec![Answer::Status(200)]);
            side.start_flags(&["--local-only"]);
            send_with_callback(side, &server.url);
            side.observe(&id(side.name));
            side.fact("callback requests", server.seen().len());
        }),
    ]
}
