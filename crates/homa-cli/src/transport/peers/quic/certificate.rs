//! The server's certificate, made anew whenever a server starts, and what a client takes for right.

use std::io;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::ALPN;

/// The name in the certificate; nobody looks it up.
pub(super) const SERVER_NAME: &str = "localhost";

/// A server's configuration, and its certificate (DER).
///
/// # Errors
///
/// The system has no random numbers.
pub(super) fn of_server() -> io::Result<(QuicServerConfig, Vec<u8>)> {
    let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]);
    let made = made.map_err(io::Error::other)?;
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = QuicServerConfig::try_from(config).map_err(io::Error::other)?;
    Ok((config, certificate.to_vec()))
}

/// The configuration of a client that takes only this certificate, or any if it is `None`: it
/// measures, and has no secrets.
pub(super) fn of_client(only: Option<&[u8]>) -> io::Result<QuicClientConfig> {
    let provider = provider();
    let only = only.map(|bytes| CertificateDer::from(bytes.to_vec()));
    let verifier = Known { only, provider: provider.clone() };
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    QuicClientConfig::try_from(config).map_err(io::Error::other)
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// Knows the server by its certificate and nothing else. That it has the key is verified as ever.
#[derive(Debug)]
struct Known {
    only: Option<CertificateDer<'static>>,
    provider: CryptoProvider,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.only {
            Some(only) if only != certificate => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
