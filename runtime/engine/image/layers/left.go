package layers

// cache is a directory that programs only use to be faster the next time.
type cache struct {
	dir, what, instead string
}

var caches = []cache{
	{"/var/lib/apt/lists", "apt's package lists", "end this RUN with `&& rm -rf /var/lib/apt/lists/*`"},
	{
		"/var/cache/apt", "packages that apt downloaded",
		"end this RUN with `&& apt-get clean`, or give it `--mount=type=cache,target=/var/cache/apt`",
	},
	{"/var/cache/apk", "apk's index", "write `apk add --no-cache …`"},
	{"/etc/apk/cache", "apk's packages", "write `apk add --no-cache …`"},
	{"/var/cache/dnf", "dnf's cache", "end this RUN with `&& dnf clean all`"},
	{"/var/cache/yum", "yum's cache", "end this RUN with `&& yum clean all`"},
	{
		"/root/.cache/pip", "pip's cache",
		"write `pip install --no-cache-dir …`, or give the RUN `--mount=type=cache,target=/root/.cache/pip`",
	},
	{"/root/.cache/uv", "uv's cache", "write `uv sync --no-cache`, or give the RUN `--mount=type=cache,target=/root/.cache/uv`"},
	{"/root/.cache/go-build", "Go's build cache", "give the RUN `--mount=type=cache,target=/root/.cache/go-build`"},
	{"/go/pkg/mod", "Go's module cache", "give the RUN `--mount=type=cache,target=/go/pkg/mod`, or build in a stage of its own"},
	{"/root/go/pkg/mod", "Go's module cache", "give the RUN `--mount=type=cache,target=/root/go/pkg/mod`, or build in a stage of its own"},
	{"/root/.npm", "npm's cache", "give the RUN `--mount=type=cache,target=/root/.npm`, or end it with `&& npm cache clean --force`"},
	{"/usr/local/share/.cache/yarn", "yarn's cache", "end this RUN with `&& yarn cache clean`"},
	{"/root/.cargo/registry", "cargo's registry", "give the RUN `--mount=type=cache,target=/root/.cargo/registry`"},
	{"/usr/local/cargo/registry", "cargo's registry", "give the RUN `--mount=type=cache,target=/usr/local/cargo/registry`"},
	{"/root/.m2", "Maven's repository", "give the RUN `--mount=type=cache,target=/root/.m2`, or build in a stage of its own"},
	{"/root/.gradle", "Gradle's cache", "give the RUN `--mount=type=cache,target=/root/.gradle`, or build in a stage of its own"},
	{"/root/.cache", "caches of programs", "give the RUN `--mount=type=cache,target=/root/.cache`, or remove them in it"},
}

// tools are what only builds need.
var tools = []struct{ dir, what string }{
	{"/usr/lib/gcc", "a C compiler"},
	{"/usr/libexec/gcc", "a C compiler"},
	{"/usr/local/go", "Go's tool chain"},
	{"/usr/lib/go", "Go's tool chain"},
	{"/usr/local/rustup", "Rust's tool chain"},
	{"/root/.rustup", "Rust's tool chain"},
	{"/usr/share/maven", "Maven"},
	{"/usr/lib/llvm", "LLVM"},
}

// left is what is still seen below a directory at the end, by the layer that wrote it.
func (a *adviser) left(dir string) (by map[int]int64, n int32) {
	n, ok := a.find(dir)
	if !ok {
		return nil, 0
	}
	by = map[int]int64{}
	for m := n; m < a.nodes[n].end; m++ {
		if a.told[m] {
			m = a.nodes[m].end - 1
			continue
		}
		if v, ok := a.asOf(m, len(a.layers)-1); ok {
			by[int(v.layer)] += a.entry(v).bytes()
		}
	}
	return by, n
}

func (a *adviser) leftCaches() {
	for _, c := range caches {
		by, n := a.left(c.dir)
		for layer, size := range by {
			a.say(layer, size, "%s leaves %s of %s in %s. They are of no use in the image: %s.",
				a.quote(layer), human(size), c.what, c.dir, c.instead)
		}
		if n > 0 { // /root/.cache holds /root/.cache/pip
			a.told[n] = true
		}
	}
}

func (a *adviser) leftTools() {
	for _, t := range tools {
		by, _ := a.left(t.dir)
		for layer, size := range by {
			a.say(layer, size, "%s leaves %s (%s in %s) in the image. Build in a stage of its own, and take only what runs into the last one: "+
				"`FROM … AS build`, then `COPY --from=build …`.", a.quote(layer), t.what, human(size), t.dir)
		}
	}
}

// copiedTooMuch finds what COPY and ADD took along.
func (a *adviser) copiedTooMuch() {
	for n := int32(1); n < int32(a.Len()); n++ {
		name := string(a.name(n))
		v, ok := a.asOf(n, len(a.layers)-1)
		if name != ".git" && name != "node_modules" || !ok || a.entry(v).kind != Directory {
			continue
		}
		layer := int(a.of(n)[0].layer)
		if w := word(a.says[layer]); w != "COPY" && w != "ADD" {
			continue
		}
		size := a.sums(n, Query{Layer: layer}).Bytes
		why := "The history of the sources is in the image, with all that was ever in it."
		if name == "node_modules" {
			why = "Install them in the image instead, for its own platform."
		}
		a.say(layer, size, "%s takes %s along (%s). %s Write `%s` into .dockerignore.", a.quote(layer), a.path(nil, n), human(size), why, name)
		n = a.nodes[n].end - 1 // those inside are of the same kind
	}
}
