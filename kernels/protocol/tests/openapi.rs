//! The golden file of `/executions` and the types that are sent say the same. Whoever changes
//! one changes the other, and says in the changelog what old clients see.

use serde::Serialize;
use serde_json::{Value, json};
use soulbox_protocol::execution::{
    Death, EndName, Evidence, Kept, Origin, Output, Page, Reason, Shown, Span, Start, StateName,
};
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(include_str!("../openapi/executions.json")).expect("JSON")
}

fn sent(value: &impl Serialize) -> BTreeSet<String> {
    keys(&serde_json::to_value(value).expect("JSON"))
}

fn keys(value: &Value) -> BTreeSet<String> {
    let object = value.as_object().expect("an object");
    object.keys().cloned().collect()
}

/// Compares a schema with a value that has all fields, and one that has only those it needs.
fn check(name: &str, full: &impl Serialize, least: &impl Serialize) {
    let schema = document()["components"]["schemas"][name].clone();
    assert_eq!(keys(&schema["properties"]), sent(full), "{name}");
    let required = schema["required"].as_array().expect("a list");
    let required: BTreeSet<String> = required
        .iter()
        .map(|field| field.as_str().expect("a text").to_owned())
        .collect();
    assert_eq!(required, sent(least), "{name}, required");
}

fn words(name: &str, values: &[impl Serialize]) {
    let schema = document()["components"]["schemas"][name]["enum"].clone();
    assert_eq!(schema, json!(values), "{name}");
}

fn span() -> Span {
    Span::default()
}

fn evidence() -> Evidence {
    Evidence {
        signal: Some(9),
        exit_status: Some(1),
        console: Some(String::new()),
        oom_kills: Some(1),
        forks_refused: Some(1),
        disk_free_bytes: Some(1),
        kernel_restarted: true,
    }
}

fn death() -> Death {
    Death {
        reason: Reason::Oom,
        message: String::new(),
        evidence: evidence(),
    }
}

fn kept() -> Kept {
    Kept {
        path: String::new(),
        events: 0,
        bytes: 0,
    }
}

fn shown(full: bool) -> Shown {
    let time = || full.then(String::new);
    Shown {
        id: String::new(),
        context_id: String::new(),
        language: String::new(),
        origin: Origin::Executions,
        state: StateName::Ended,
        end: full.then_some(EndName::Death),
        death: full.then(death),
        created_at: String::new(),
        started_at: time(),
        ended_at: time(),
        deadline_seconds: full.then_some(1),
        output: Output::default(),
    }
}

#[test]
fn the_golden_file_has_the_fields_that_are_sent() {
    check("Execution", &shown(true), &shown(false));
    check("Death", &death(), &death());
    check("Evidence", &evidence(), &Evidence::default());
    let output = Output {
        file: Some(kept()),
        gone: Some(span()),
        ..Output::default()
    };
    check("Output", &output, &Output::default());
    check("Span", &span(), &span());
    check("Kept", &kept(), &kept());
    let page = |next| Page {
        executions: Vec::new(),
        next,
    };
    check("Page", &page(Some(String::new())), &page(None));
}

#[test]
fn the_golden_file_has_the_fields_that_are_taken() {
    let full = Start {
        code: String::new(),
        context_id: Some(String::new()),
        language: Some(String::new()),
        env_vars: Some(Default::default()),
        deadline_seconds: Some(1),
        idempotency_key: Some(String::new()),
        attach: true,
    };
    let schema = document()["components"]["schemas"]["Start"].clone();
    assert_eq!(
        keys(&schema["properties"]),
        keys(&serde_json::to_value(full).expect("JSON"))
    );
    assert_eq!(schema["required"], json!(["code"]));
    assert!(serde_json::from_value::<Start>(json!({"code": "1"})).is_ok());
    assert!(serde_json::from_value::<Start>(json!({"attach": true})).is_err());
    assert!(serde_json::from_value::<Start>(json!({"code": "1", "odd": 1})).is_err());
}

#[test]
fn the_golden_file_has_the_words() {
    words(
        "Origin",
        &[Origin::E2b, Origin::Executions, Origin::Jupyter],
    );
    words(
        "State",
        &[StateName::Queued, StateName::Running, StateName::Ended],
    );
    words(
        "End",
        &[
            EndName::Ok,
            EndName::Error,
            EndName::Interrupted,
            EndName::Death,
        ],
    );
    let reasons = [
        Reason::Oom,
        Reason::KernelCrash,
        Reason::Timeout,
        Reason::Disk,
        Reason::Pids,
        Reason::Restarted,
        Reason::Removed,
        Reason::NoKernel,
    ];
    words("Reason", &reasons);
    for reason in reasons {
        assert_eq!(json!(reason), reason.as_str());
    }
}
