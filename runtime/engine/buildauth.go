package engine

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"path"
	"strings"

	"github.com/moby/moby/api/types/registry"
)

// maxLogins bounds the file of `docker login`, in bytes.
const maxLogins = 1 << 20

// logins are the registries that `docker login` has noted in the workspace: a build of the page asks them as one of the shell
// would. What cannot be read is none.
func (w *workspace) logins() map[string]registry.AuthConfig {
	who, err := w.lookup(w.config.Image.Config.User)
	if err != nil {
		return nil
	}
	f, _, err := w.files().Open(path.Join(who.Home, ".docker/config.json"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var file struct {
		Auths map[string]struct {
			Auth          string `json:"auth"` // base64 of user:password
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
	}
	if json.NewDecoder(io.LimitReader(f, maxLogins)).Decode(&file) != nil {
		return nil
	}
	all := map[string]registry.AuthConfig{}
	for name, a := range file.Auths {
		plain, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, _ := strings.Cut(string(plain), ":")
		if err == nil {
			all[name] = registry.AuthConfig{Username: user, Password: strings.TrimRight(password, "\x00"), IdentityToken: a.IdentityToken}
		}
	}
	return all
}
