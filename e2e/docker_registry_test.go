package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// registryConfig is of Debian's docker-registry, with a password.
const registryConfig = `version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":5000"}
auth: {htpasswd: {realm: test, path: /etc/htpasswd}}
log: {level: error}
`

// registryImage is the root file system of a registry: the program that this machine has, and the libraries that it needs.
func registryImage(t *testing.T) string {
	t.Helper()
	root := programRoot(t, "docker-registry")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "etc/registry.yml"), []byte(registryConfig), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "etc/htpasswd"), []byte("me:"+string(hash)+"\n"), 0o644))
	certificate, key := selfSigned(t, net.IPv4(172, 17, 0, 1))
	must(t, os.WriteFile(filepath.Join(root, "etc/tls.crt"), certificate, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "etc/tls.key"), key, 0o600))
	return archived(t, root)
}

// programRoot is a root file system of one program that this machine has, and of the libraries that it needs.
func programRoot(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s: deploy/install-deps.sh test", name)
	}
	root := t.TempDir()
	libraries, err := exec.CommandContext(t.Context(), "ldd", program).Output() // fails for a static one, which needs none
	if err != nil {
		t.Logf("ldd: %v", err)
	}
	for _, path := range append(regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1), program) {
		b, err := os.ReadFile(path)
		must(t, err)
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, path), b, 0o755))
	}
	return root
}

// archived is a tar of a directory.
func archived(t *testing.T, root string) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "root.tar")
	out, err := exec.CommandContext(t.Context(), "tar", "-C", root, "-cf", archive, ".").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	return archive
}

// selfSigned is a certificate of an address and its key, as PEM.
func selfSigned(t *testing.T, ip net.IP) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{ip},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// registryCases are typed in one session in which a registry runs at localhost:5000, one after the other.
var registryCases = []dockerCase{
	{"push without login", `docker tag busybox localhost:5000/team/app:1; docker push -q localhost:5000/team/app:1 >/dev/null 2>&1; echo $?`, "1"},
	{
		"login", `echo wrong | docker login -u me --password-stdin localhost:5000 2>&1 | grep -o 'unauthorized.*'; echo secret | docker login -u me --password-stdin localhost:5000 2>/dev/null | tail -1`,
		"unauthorized: incorrect username or password\nLogin Succeeded",
	},
	{
		"push", `docker push localhost:5000/team/app:1; docker push localhost:5000/team/app:1 | grep -c 'Layer already exists'`,
		"The push refers to repository [localhost:5000/team/app]\nID: Preparing\nID: Pushed\n1: digest: sha256:… size: …\n1",
	},
	{
		"push only what is new", `docker run --name a1 busybox sh -c 'echo new >/f'; docker commit a1 localhost:5000/team/app:2 >/dev/null; docker rm a1; docker push localhost:5000/team/app:2 | sed 's/^ID: //; s/^[0-9a-f]*: //' | grep -E '^(Pushed|Layer)' | sort`,
		"a1\nLayer already exists\nPushed",
	},
	{"push to another repository", `docker tag localhost:5000/team/app:2 localhost:5000/other:2; docker push localhost:5000/other:2 | grep -c 'Mounted from team/app'`, "2"},
	{
		"pull", `docker rmi localhost:5000/team/app:2 localhost:5000/other:2 >/dev/null; docker pull localhost:5000/team/app:2; docker run --rm localhost:5000/team/app:2 cat /f`,
		"2: Pulling from team/app\nID: Already exists\nID: Pulling fs layer\nID: Verifying Checksum\nID: Download complete\nID: Pull complete\nDigest: sha256:…\nStatus: Downloaded newer image for localhost:5000/team/app:2\nlocalhost:5000/team/app:2\nnew",
	},
	{"pull again", `docker pull localhost:5000/team/app:2 | tail -2`, "Status: Image is up to date for localhost:5000/team/app:2\nlocalhost:5000/team/app:2"},
	{"pull by digest", `d=$(docker inspect -f '{{index .RepoDigests 0}}' localhost:5000/team/app:2); docker rmi localhost:5000/team/app:2 >/dev/null; docker run --rm --pull always -q $d cat /f; docker rmi $d >/dev/null`, "new"},
	{
		"pull all tags", `docker pull -q -a localhost:5000/team/app; docker images --format '{{.Tag}}' localhost:5000/team/app | sort; docker rmi localhost:5000/team/app:2 | head -1`,
		"localhost:5000/team/app\n1\n2\nUntagged: localhost:5000/team/app:2",
	},
	{
		"what is not there", `docker pull -q localhost:5000/team/app:none; docker pull -q localhost:5000/nothing; docker push -q localhost:5000/nothing`,
		"Error response from daemon: manifest for localhost:5000/team/app:none not found: manifest unknown: manifest unknown\n" +
			"Error response from daemon: manifest for localhost:5000/nothing:latest not found: manifest unknown: manifest unknown\n" +
			"An image does not exist locally with the tag: localhost:5000/nothing",
	},
	{
		"a registry that nobody vouches for", `docker run -d --name tls -p 5443:5443 -e REGISTRY_HTTP_ADDR=:5443 -e REGISTRY_HTTP_TLS_CERTIFICATE=/etc/tls.crt -e REGISTRY_HTTP_TLS_KEY=/etc/tls.key registry:2 >/dev/null
for i in $(seq 50); do (echo >/dev/tcp/127.0.0.1/5443) 2>/dev/null && break; sleep 0.1; done; docker pull -q 172.17.0.1:5443/x 2>&1 | grep -o 'certificate signed by unknown authority'`,
		"certificate signed by unknown authority",
	},
	{
		"its own authority", `mkdir -p /etc/docker/certs.d/172.17.0.1:5443; docker cp -q tls:/etc/tls.crt /etc/docker/certs.d/172.17.0.1:5443/ca.crt
echo secret | docker login -u me --password-stdin 172.17.0.1:5443 2>/dev/null | tail -1; docker tag busybox 172.17.0.1:5443/x; docker push -q 172.17.0.1:5443/x
docker rmi 172.17.0.1:5443/x >/dev/null; docker run --rm -q 172.17.0.1:5443/x echo pulled; docker rmi 172.17.0.1:5443/x >/dev/null
echo nonsense >/etc/docker/certs.d/172.17.0.1:5443/ca.crt; docker pull -q 172.17.0.1:5443/x; docker rm -f tls`,
		"Login Succeeded\n172.17.0.1:5443/x:latest\npulled\nError response from daemon: there is no certificate in the .crt files of /etc/docker/certs.d/172.17.0.1:5443\ntls",
	},
	{
		"logout", `docker logout localhost:5000; docker pull -q localhost:5000/team/app:2 2>&1 | grep -o 'pull access denied for localhost:5000/team/app'`,
		"Removing login credentials for localhost:5000\npull access denied for localhost:5000/team/app",
	},
	{"registry down", `docker stop -t 1 registry >/dev/null; docker pull -q localhost:5000/team/app:2 2>&1 | grep -o 'connect: connection refused'`, "connect: connection refused"},
}

// TestRegistry has a private registry in a session, and speaks with it as a tutorial does.
func TestRegistry(t *testing.T) {
	archive := registryImage(t)
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	run := func(script string) string {
		got := s.berth(nil, "exec", id, "--", "timeout", "60", "bash", "-c", "exec 2>&1; "+script)
		return got.out + got.errs
	}
	if got := s.berth(nil, "docker", id, "--", "import", "-c", `CMD ["/usr/bin/docker-registry","serve","/etc/registry.yml"]`, archive, "registry:2"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if out := run(`docker run -d --name registry -p 5000:5000 registry:2 && for i in $(seq 50); do (echo >/dev/tcp/127.0.0.1/5000) 2>/dev/null && exit; sleep 0.1; done; docker logs registry`); strings.Count(out, "\n") != 1 {
		t.Fatalf("the registry does not start: %s", out)
	}
	for _, c := range registryCases {
		if c.name == "logout" {
			t.Run("pull over a restart of the server", func(t *testing.T) { pullOverRestart(t, s, run) })
		}
		t.Run(c.name, func(t *testing.T) {
			if out := run(c.script); !matches(out, c.want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.script, out, c.want)
			}
		})
	}
}

// pullOverRestart kills the server while an image that takes its time is pulled: neither docker nor the engine notices.
func pullOverRestart(t *testing.T, s *server, run func(script string) string) {
	const image = "localhost:5000/team/big:latest"
	if out := run(`docker run --name a1 busybox sh -c 'head -c 150000000 /dev/urandom >/big; md5sum </big' >/tmp/sum && docker commit a1 ` + image +
		` >/dev/null && docker rm a1 >/dev/null && docker push -q ` + image + ` && docker rmi ` + image + ` >/dev/null &&
		(nohup bash -c 'docker pull ` + image + ` >/tmp/pull 2>&1; echo $? >/tmp/pull.status' >/dev/null 2>&1 &)
		until [ -s /tmp/pull ]; do sleep 0.02; done`); out != image+"\n" {
		t.Fatalf("%s", out)
	}
	s.kill()
	s.start()
	eventually(t, patience, func() error {
		if out := run("cat /tmp/pull.status"); out != "0\n" {
			return errors.New(out + run("cat /tmp/pull"))
		}
		return nil
	})
	if out := run(`docker run --rm ` + image + ` md5sum /big | cut -d' ' -f1; cut -d' ' -f1 /tmp/sum; docker rmi ` + image + ` | head -1`); !matches(out, "…\n…\nUntagged: "+image) ||
		strings.Split(out, "\n")[0] != strings.Split(out, "\n")[1] {
		t.Errorf("what was pulled is not what was pushed: %s", out)
	}
}
