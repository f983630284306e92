//! The command line of `sudo`: as much of it as makes sense without a password and a policy.

use super::{Request, Shell};

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// To run something.
    Run(Box<Request>),
    /// Only text, and success.
    Say(&'static str),
    /// Success: there is no password to remember or to forget.
    Nothing,
}

/// Shown for `-h`.
pub const USAGE: &str = "usage: sudo [-bEHnS] [-u user] [-g group] [-D directory] \
[VAR=value] [-i | -s] [command [arg ...]]\n       sudo -h | -K | -k | -l | -V | -v\n";

const VERSION: &str = "sudo of SoulBox: the agent runs the command\n";

const LIST: &str = "This user may run the following commands in this sandbox:\n    \
(ALL : ALL) NOPASSWD: ALL\n";

/// Reads the arguments after the program's name. Errors are what to show.
pub fn parse(arguments: &[String]) -> Result<Asked, String> {
    let mut request = Request::default();
    let mut only = None;
    let mut rest = arguments.iter();
    let mut command = Vec::new();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            command.extend(rest.by_ref().cloned());
        } else if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let letter = letter(name).ok_or_else(|| format!("unrecognized option '{argument}'"))?;
            // A list of variables to keep: all are kept.
            let value = if letter == 'E' { None } else { value };
            option(letter, &mut request, &mut only, || {
                value.or_else(|| rest.next().cloned())
            })?;
        } else if let Some(letters) = argument.strip_prefix('-').filter(|l| !l.is_empty()) {
            for (place, letter) in letters.char_indices() {
                let attached = &letters[place + letter.len_utf8()..];
                let mut took = false;
                option(letter, &mut request, &mut only, || {
                    took = true;
                    if attached.is_empty() {
                        rest.next().cloned()
                    } else {
                        Some(attached.to_owned())
                    }
                })?;
                if took {
                    break;
                }
            }
        } else if let Some((name, value)) = variable(argument) {
            request.env.insert(name.into(), value.into());
        } else {
            command.push(argument.clone());
            command.extend(rest.by_ref().cloned());
        }
    }
    request.command = command;
    let is_empty = request.command.is_empty() && request.shell == Shell::None;
    match only {
        Some('h') => Ok(Asked::Say(USAGE)),
        Some('V') => Ok(Asked::Say(VERSION)),
        Some('l') => Ok(Asked::Say(LIST)),
        Some('v' | 'K') => Ok(Asked::Nothing),
        Some('k') if is_empty => Ok(Asked::Nothing),
        _ if is_empty => Err(USAGE.trim_end().into()),
        _ => Ok(Asked::Run(Box::new(request))),
    }
}

/// One option. `value` is asked for only by those that have one.
fn option(
    letter: char,
    request: &mut Request,
    only: &mut Option<char>,
    value: impl FnOnce() -> Option<String>,
) -> Result<(), String> {
    let value = || value().ok_or_else(|| format!("option requires an argument -- '{letter}'"));
    match letter {
        'u' => request.user = Some(value()?),
        'g' => request.group = Some(value()?),
        'D' => request.cwd = value()?,
        // A prompt, a limit of descriptors and a host say nothing here, but have a value.
        'p' | 'C' => drop(value()?),
        'i' => request.shell = Shell::Login,
        's' => request.shell = Shell::Callers,
        'E' => request.keep_home = true,
        'H' => request.keep_home = false,
        'b' => return Err("-b is not supported; put '&' behind the command".into()),
        // No question is ever asked, so it does not matter how it would be.
        'n' | 'S' | 'A' | 'P' | 'B' | 'N' => {}
        'h' | 'V' | 'l' | 'v' | 'K' | 'k' => *only = Some(letter),
        _ => return Err(format!("invalid option -- '{letter}'")),
    }
    Ok(())
}

fn letter(long: &str) -> Option<char> {
    Some(match long {
        "user" => 'u',
        "group" => 'g',
        "chdir" => 'D',
        "prompt" => 'p',
        "close-from" => 'C',
        "login" => 'i',
        "shell" => 's',
        "preserve-env" => 'E',
        "set-home" => 'H',
        "background" => 'b',
        "non-interactive" => 'n',
        "stdin" => 'S',
        "askpass" => 'A',
        "preserve-groups" => 'P',
        "bell" => 'B',
        "no-update" => 'N',
        "help" => 'h',
        "version" => 'V',
        "list" => 'l',
        "validate" => 'v',
        "remove-timestamp" => 'K',
        "reset-timestamp" => 'k',
        _ => return None,
    })
}

/// `NAME=value`, where the name is one that a shell would take.
fn variable(argument: &str) -> Option<(&str, &str)> {
    let (name, value) = argument.split_once('=')?;
    let mut letters = name.bytes();
    let first = letters.next()?;
    let is_name = (first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &[&str]) -> Request {
        let line: Vec<String> = line.iter().map(|word| (*word).into()).collect();
        match parse(&line) {
            Ok(Asked::Run(request)) => *request,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let request = run(&["-nE", "-uroot", "A=1", "ls", "-i", "B=2", "--", "-u"]);
        assert_eq!(request.command, ["ls", "-i", "B=2", "--", "-u"]);
        assert_eq!(request.user.as_deref(), Some("root"));
        assert_eq!(request.env.get("A").map(String::as_str), Some("1"));
        assert!(request.keep_home && request.shell == Shell::None);
        assert_eq!(run(&["--", "-x"]).command, ["-x"]);
        assert_eq!(run(&["--user=a", "--chdir", "/x", "y"]).cwd, "/x");
        assert_eq!(run(&["-iu", "a"]).shell, Shell::Login);
        assert_eq!(run(&["--preserve-env=A,B", "y"]).command, ["y"]);
        assert_eq!(run(&["-s", "echo", "x y"]).shell, Shell::Callers);
        assert_eq!(run(&["-k", "true"]).command, ["true"]);
        assert_eq!(run(&["./a=b"]).command, ["./a=b"]);
    }

    #[test]
    fn what_is_not_run() {
        let words = |line: &[&str]| -> Vec<String> { line.iter().map(|w| (*w).into()).collect() };
        assert_eq!(parse(&words(&["-v"])), Ok(Asked::Nothing));
        assert_eq!(parse(&words(&["-k"])), Ok(Asked::Nothing));
        assert_eq!(parse(&words(&["-h"])), Ok(Asked::Say(USAGE)));
        for wrong in [
            &[][..],
            &["-u"],
            &["-Z", "x"],
            &["--zzz"],
            &["A=1"],
            &["-é"],
        ] {
            assert!(parse(&words(wrong)).is_err(), "{wrong:?}");
        }
    }
}
