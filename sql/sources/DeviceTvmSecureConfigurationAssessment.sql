-- Settings of devices, assessed, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  Context
create table DeviceTvmSecureConfigurationAssessment (
    Timestamp timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    OSPlatform varchar,
    ConfigurationId varchar,
    ConfigurationCategory varchar,
    ConfigurationSubcategory varchar,
    ConfigurationImpact double,
    IsCompliant boolean,
    IsApplicable boolean,
    Context varchar,
    IsExpectedUserImpact boolean,
    TenantId varchar
);
