//! Arguments that look like carrying a secret: what is written about such a command line is for its
//! user's eyes alone.

/// Flags behind which a secret stands, in the next word or after `=`. Flags of one dash are those
/// of `openssl`, `mysql` and others, as they are written.
const FLAGS: [&str; 18] = [
    "-K",
    "-k",
    "-pass",
    "-passin",
    "-passout",
    "-password",
    "-psk",
    "-srppass",
    "-macopt",
    "-sigopt",
    "-passwd",
    "--pass",
    "--passwd",
    "--password",
    "--passphrase",
    "--psk",
    "--token",
    "--secret",
];

/// Flags behind which a user and a password stand, with a colon between.
const LOGINS: [&str; 3] = ["-u", "--user", "--proxy-user"];

/// Words that stand before a secret and `=` or `:`, in whatever case and however they begin: as in
/// `API_KEY=…`, `token=…` of an address, `pass:…` of openssl, `Authorization: …` of a header.
const NAMES: [&str; 12] = [
    "key",
    "token",
    "secret",
    "passwd",
    "password",
    "passphrase",
    "pass",
    "pwd",
    "auth",
    "authorization",
    "credential",
    "credentials",
];

/// Whether an argument looks like carrying a secret. `command` is the program and its arguments;
/// one that is not recognised is not thereby harmless.
pub fn seem_to_be_in(command: &[String]) -> bool {
    let mut words = command.iter().skip(1);
    let is_login = |pair: &[String]| LOGINS.contains(&pair[0].as_str()) && pair[1].contains(':');
    words.any(|word| is_flag(word) || has_named_secret(word) || has_login(word))
        || command.windows(2).any(is_login)
}

/// `--password` and `--password=…`.
fn is_flag(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    FLAGS.contains(&name)
}

/// A name of [`NAMES`], or one that ends like it, stands before `=` or `:` and something.
fn has_named_secret(word: &str) -> bool {
    let marks = word.match_indices(['=', ':']);
    marks.into_iter().any(|(at, mark)| {
        let before = word[..at].to_ascii_lowercase();
        // Behind `?` and `&` of an address, `,` of a list and a blank, another name begins.
        let name = before.rsplit(['?', '&', ',', ';', ' ', '"', '\'']).next().unwrap_or_default();
        let is_last = |secret: &&str| {
            let rest = name.strip_suffix(*secret);
            rest.is_some_and(|rest| !rest.ends_with(|c: char| c.is_ascii_alphanumeric()))
        };
        word.len() > at + mark.len() && NAMES.iter().any(is_last)
    })
}

/// An address with a user and a password in it: `https://user:password@host`.
fn has_login(word: &str) -> bool {
    let Some((_, rest)) = word.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seem_to_be_in_line(line: &str) -> bool {
        seem_to_be_in(&line.split('|').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn well_known_flags_and_names_are_recognised() {
        for line in [
            "openssl|enc|-aes-256-cbc|-K|00112233",
            "openssl|pkcs12|-passin|pass:hello",
            "openssl|s_client|-psk|c0ffee",
            "mysql|--password=hello",
            "curl|-u|me:hello",
            "curl|--header|Authorization: Bearer abc",
            "curl|https://example.org/?a=b&token=abc",
            "curl|https://me:hello@example.org/",
            "env|API_KEY=abc|server",
            "server|--client-secret=abc",
            "server|db.password=abc",
            "psql|host=localhost password=abc",
        ] {
            assert!(seem_to_be_in_line(line), "{line}");
        }
    }

    #[test]
    fn ordinary_arguments_are_not() {
        for line in [
            "--password",
            "node|echo.js|certificate.pem|key.pem|4433",
            "openssl|s_server|-key|key.pem|-accept|4433",
            "nginx|-c|/etc/nginx/nginx.conf|-g|daemon off;",
            "curl|https://example.org:8443/monkey?keyword=x",
            "runuser|-u|nobody|server|-p|4433",
            "server|--keyring=x|--author=me|turkey=x",
            "sh|-c|echo key=",
        ] {
            assert!(!seem_to_be_in_line(line), "{line}");
        }
    }
}
