//! Signed file requests (e2b-wire.md, section 4.8): whoever knows a sandbox's token can make
//! a URL that lets others read or write one path, for a time.

use crate::auth::{Secret, same};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use http::Method;
use sha2::{Digest, Sha256};

const VERSION: &str = "v1_";

/// What a request to `/files` claims. Absent texts are empty, as in the signed text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    path: String,
    username: String,
    signature: Option<String>,
    expiration: Option<String>,
}

/// What is wrong with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no signature.
    Missing,
    /// It was not made with this token, or for another request.
    Wrong,
    /// It was right once.
    Expired,
}

impl Fault {
    /// The exact text of the contract.
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "missing signature query parameter",
            Self::Wrong => "invalid signature",
            Self::Expired => "signature is already expired",
        }
    }
}

impl Claim {
    /// Reads the parameters of a query.
    pub fn parse(query: &str) -> Self {
        let mut claim = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match name.as_ref() {
                "path" => claim.path = value,
                "username" => claim.username = value,
                "signature" => claim.signature = Some(value),
                "signature_expiration" => claim.expiration = Some(value),
                _ => {}
            }
        }
        claim
    }

    /// Whether this claim was signed with this token, be it expired or not.
    pub fn is_signed_with(&self, method: &Method, token: &Secret) -> bool {
        let presented = self.signature.as_deref().unwrap_or_default();
        same(
            self.expected(method, token).as_bytes(),
            presented.as_bytes(),
        )
    }

    /// Checks everything, in the order of the contract.
    pub fn check(&self, method: &Method, token: &Secret, now: i64) -> Result<(), Fault> {
        if self.signature.is_none() {
            return Err(Fault::Missing);
        }
        if !self.is_signed_with(method, token) {
            return Err(Fault::Wrong);
        }
        match self.expiration.as_deref().map(str::parse::<i64>) {
            None => Ok(()),
            Some(Ok(end)) if end >= now => Ok(()),
            Some(Ok(_)) => Err(Fault::Expired),
            Some(Err(_)) => Err(Fault::Wrong),
        }
    }

    fn expected(&self, method: &Method, token: &Secret) -> String {
        let operation = if method == Method::POST {
            "write"
        } else {
            "read"
        };
        let Self {
            path,
            username,
            expiration,
            ..
        } = self;
        let token = token.expose();
        let mut raw = format!("{path}:{operation}:{username}:{token}");
        if let Some(expiration) = expiration {
            raw.push(':');
            raw.push_str(expiration);
        }
        format!("{VERSION}{}", STANDARD_NO_PAD.encode(Sha256::digest(raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> Secret {
        Secret::new("secret-token".into())
    }

    fn signed(path: &str, username: &str, expiration: Option<i64>, method: &Method) -> String {
        let mut claim = Claim {
            path: path.into(),
            username: username.into(),
            ..Claim::default()
        };
        claim.expiration = expiration.map(|end| end.to_string());
        let signature = claim.expected(method, &token());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("path", path)
            .append_pair("signature", &signature);
        if !username.is_empty() {
            query.append_pair("username", username);
        }
        if let Some(end) = claim.expiration {
            query.append_pair("signature_expiration", &end);
        }
        query.finish()
    }

    #[test]
    fn the_text_that_is_signed_is_the_contracts() {
        let claim = Claim::parse("path=/a&username=user");
        let digest = Sha256::digest("/a:read:user:secret-token");
        let want = format!("v1_{}", STANDARD_NO_PAD.encode(digest));
        assert_eq!(claim.expected(&Method::GET, &token()), want);
    }

    #[test]
    fn faults_come_in_the_contracts_order() {
        let check = |query: &str, method| Claim::parse(query).check(&method, &token(), 100);
        assert_eq!(check("path=/a", Method::GET), Err(Fault::Missing));
        assert_eq!(
            check("path=/a&signature=v1_x", Method::GET),
            Err(Fault::Wrong)
        );
        let late = signed("/a", "", Some(99), &Method::GET);
        assert_eq!(check(&late, Method::GET), Err(Fault::Expired));
        assert_eq!(check(&late, Method::POST), Err(Fault::Wrong));
        assert_eq!(
            check(&signed("/a", "", Some(100), &Method::GET), Method::GET),
            Ok(())
        );
        let stretched = late.replace("signature_expiration=99", "signature_expiration=999");
        assert_eq!(check(&stretched, Method::GET), Err(Fault::Wrong));
    }

    proptest! {
        #[test]
        fn whatever_was_signed_is_accepted(path in ".*", user in "[a-z]{0,8}", end in proptest::option::of(100i64..)) {
            for method in [Method::GET, Method::POST] {
                let claim = Claim::parse(&signed(&path, &user, end, &method));
                prop_assert_eq!(claim.check(&method, &token(), 100), Ok(()));
                let other = Secret::new("other-token".into());
                prop_assert_eq!(claim.check(&method, &other, 100), Err(Fault::Wrong));
            }
        }
    }
}
