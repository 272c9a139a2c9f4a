//! `preset`: the headers that well-known applications expect. Where each is documented stands in
//! docs/presets.md.

/// A preset: the name in the configuration, and header names with templates.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
}

/// The one for sites that name none.
pub(super) const DEFAULT: &str = "default";

/// All of them, in the order in which they are documented.
pub(super) const PRESETS: [Preset; 16] = [
    Preset {
        name: DEFAULT,
        headers: &[
            ("X-Forwarded-User", "{id}"),
            ("X-Forwarded-Email", "{email}"),
            ("X-Forwarded-Name", "{full_name}"),
            ("X-Forwarded-Role", "{role}"),
            ("X-Forwarded-Groups", "{groups}"),
        ],
    },
    Preset {
        name: "oauth2-proxy",
        headers: &[
            ("X-Forwarded-User", "{id}"),
            ("X-Forwarded-Email", "{email}"),
            ("X-Forwarded-Preferred-Username", "{id}"),
            ("X-Forwarded-Groups", "{groups}"),
        ],
    },
    Preset {
        name: "authelia",
        headers: &[
            ("Remote-User", "{id}"),
            ("Remote-Email", "{email}"),
            ("Remote-Name", "{full_name}"),
            ("Remote-Groups", "{groups}"),
        ],
    },
    Preset {
        name: "authentik",
        headers: &[
            ("X-authentik-username", "{id}"),
            ("X-authentik-email", "{email}"),
            ("X-authentik-name", "{full_name}"),
            ("X-authentik-uid", "{id}"),
            ("X-authentik-groups", "{groups:|}"),
        ],
    },
    Preset {
        name: "grafana",
        headers: &[
            ("X-WEBAUTH-USER", "{id}"),
            ("X-WEBAUTH-EMAIL", "{email}"),
            ("X-WEBAUTH-NAME", "{full_name}"),
            ("X-WEBAUTH-ROLE", "{role}"),
            ("X-WEBAUTH-GROUPS", "{groups}"),
        ],
    },
    Preset { name: "gitea", headers: GITEA },
    Preset { name: "forgejo", headers: GITEA },
    Preset {
        name: "jenkins",
        headers: &[
            ("X-Forwarded-User", "{id}"),
            ("X-Forwarded-Mail", "{email}"),
            ("X-Forwarded-DisplayName", "{full_name}"),
            ("X-Forwarded-Groups", "{groups:|}"),
        ],
    },
    Preset {
        name: "sonarqube",
        headers: &[
            ("X-Forwarded-Login", "{id}"),
            ("X-Forwarded-Name", "{full_name}"),
            ("X-Forwarded-Email", "{email}"),
            ("X-Forwarded-Groups", "{groups}"),
        ],
    },
    Preset { name: "nexus", headers: &[("X-SSO-USER", "{id}")] },
    Preset {
        name: "netbox",
        headers: &[
            ("Remote-User", "{id}"),
            ("Remote-User-Email", "{email}"),
            ("Remote-User-First-Name", "{first_name}"),
            ("Remote-User-Last-Name", "{last_name}"),
            ("Remote-User-Group", "{groups:|}"),
        ],
    },
    Preset { name: "kubernetes", headers: &[("X-Remote-User", "{id}"), ("X-Remote-Group", "{groups:*}")] },
    Preset { name: "rundeck", headers: &[("X-Forwarded-Uuid", "{id}"), ("X-Forwarded-Roles", "{groups}")] },
    Preset { name: "guacamole", headers: &[("REMOTE_USER", "{id}")] },
    Preset {
        name: "georchestra",
        headers: &[
            ("sec-proxy", "true"),
            ("sec-username", "{id}"),
            ("sec-email", "{email}"),
            ("sec-firstname", "{first_name}"),
            ("sec-lastname", "{last_name}"),
            ("sec-roles", "{groups:;}"),
        ],
    },
    Preset {
        name: "cloudbeaver",
        headers: &[
            ("X-User", "{id}"),
            ("X-First-name", "{first_name}"),
            ("X-Last-name", "{last_name}"),
            ("X-Team", "{groups:|}"),
        ],
    },
];

const GITEA: &[(&str, &str)] =
    &[("X-WEBAUTH-USER", "{id}"), ("X-WEBAUTH-EMAIL", "{email}"), ("X-WEBAUTH-FULLNAME", "{full_name}")];
