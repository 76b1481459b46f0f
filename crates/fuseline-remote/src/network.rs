//! Clients that speak HTTP. Credentials and endpoints come from the environment, as each reads
//! them.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as Location;
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};
use url::Url;

use crate::bucket::Opened;

/// Longer than any request may take: deadlines are set around each.
const NO_TIMEOUT: &str = "24h";

fn retries(timeout: Duration) -> RetryConfig {
    install_crypto();
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: timeout,
    }
}

/// Clients take the cryptography of the process; a program that has chosen one keeps it.
fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn options(timeout: Duration) -> [(ClientConfigKey, String); 2] {
    let connect = format!("{}ms", (timeout / 2).as_millis());
    [(ClientConfigKey::Timeout, NO_TIMEOUT.to_owned()), (ClientConfigKey::ConnectTimeout, connect)]
}

fn prefix(url: &Url) -> object_store::Result<Location> {
    Ok(Location::from_url_path(url.path())?)
}

#[cfg(feature = "network")]
pub fn open_s3(url: &Url, timeout: Duration) -> object_store::Result<Opened> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    let bucket = url.host_str().unwrap_or_default();
    let mut builder =
        AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries(timeout));
    for (key, value) in options(timeout) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    Ok((Arc::new(builder.build()?), prefix(url)?))
}

#[cfg(feature = "network")]
pub fn open_http(url: &Url, timeout: Duration) -> object_store::Result<Opened> {
    use object_store::http::HttpBuilder;
    let mut builder = HttpBuilder::new().with_url(url.as_str()).with_retry(retries(timeout));
    for (key, value) in options(timeout) {
        builder = builder.with_config(key, value);
    }
    // Written as http, it is meant so.
    if url.scheme() == "http" {
        builder = builder.with_config(ClientConfigKey::AllowHttp, "true");
    }
    Ok((Arc::new(builder.build()?), Location::default()))
}

#[cfg(feature = "gcs")]
pub fn open_gcs(url: &Url, timeout: Duration) -> object_store::Result<Opened> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(url.host_str().unwrap_or_default())
        .with_retry(retries(timeout));
    for (key, value) in options(timeout) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    Ok((Arc::new(builder.build()?), prefix(url)?))
}

#[cfg(feature = "azure")]
pub fn open_azure(url: &Url, timeout: Duration) -> object_store::Result<Opened> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(url.host_str().unwrap_or_default())
        .with_retry(retries(timeout));
    for (key, value) in options(timeout) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    Ok((Arc::new(builder.build()?), prefix(url)?))
}
