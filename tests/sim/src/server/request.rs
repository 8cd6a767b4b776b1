//! What the head of a request tells: who calls, and which face of the account.

use hyper::http::request::Parts;

/// The worker of unsigned requests.
const ANONYMOUS: &str = "anonymous";

/// The access key that signed the request, in its header or in its query.
pub(crate) fn worker(head: &Parts) -> &str {
    let header = || head.headers.get("authorization")?.to_str().ok()?.split_once("Credential=").map(|(_, credential)| credential);
    let query = || {
        let mut parameters = head.uri.query()?.split('&').filter_map(|parameter| parameter.split_once('='));
        parameters.find(|(name, _)| ["X-Amz-Credential", "AWSAccessKeyId"].contains(name)).map(|(_, value)| value)
    };
    // In a query the slash is escaped.
    let key = |credential: &'_ str| credential.find(['/', '%']).unwrap_or(credential.len());
    header().or_else(query).map(|credential| &credential[..key(credential)]).filter(|key| !key.is_empty()).unwrap_or(ANONYMOUS)
}

/// The header `X-Amz-Target`, with which every call of a JSON service comes.
pub(super) fn target(head: &Parts) -> Option<&str> {
    head.headers.get("x-amz-target")?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn the_worker_is_the_access_key_of_the_signature() {
        let worker = |uri: &str, authorization: &str| {
            let request = Request::builder().uri(uri).header("authorization", authorization).body(()).unwrap();
            worker(&request.into_parts().0).to_owned()
        };
        let signature = "AWS4-HMAC-SHA256 Credential=w1/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(worker("/", signature), "w1");
        assert_eq!(worker("/b/k?x=1&X-Amz-Credential=w2%2F20260101%2Fus-east-1%2Fs3%2Faws4_request", "none"), "w2");
        assert_eq!(worker("/b/k?AWSAccessKeyId=w3&Signature=0", "none"), "w3");
        assert_eq!(worker("/b/k?X-Amz-Credential=", ""), "anonymous");
    }
}
