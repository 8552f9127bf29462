-- Certificates of signed files on devices,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table DeviceFileCertificateInfo (
    Timestamp timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    SHA1 varchar,
    IsSigned boolean,
    SignatureType varchar,
    Signer varchar,
    SignerHash varchar,
    Issuer varchar,
    IssuerHash varchar,
    CertificateSerialNumber varchar,
    CrlDistributionPointUrls varchar,
    CertificateCreationTime timestamptz,
    CertificateExpirationTime timestamptz,
    CertificateCountersignatureTime timestamptz,
    IsTrusted boolean,
    IsRootSignerMicrosoft boolean,
    ReportId bigint,
    TenantId varchar
);
