package container

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// namePattern is Docker's.
var namePattern = regexp.MustCompile(`^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// reserveName gives a name to an ID, or one that is made up where it is empty. The name is the container's until drop.
func (m *Manager) reserveName(name, id string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == "" {
		name = m.makeName()
		m.names[name] = id
		return name, nil
	}
	if !namePattern.MatchString(name) {
		return "", invalid("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	name = strings.TrimPrefix(name, "/")
	if other, taken := m.names[name]; taken {
		return "", conflict("Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that "+
			"container to be able to reuse that name.", "/"+name, other)
	}
	m.names[name] = id
	return name, nil
}

// releaseName frees a name, where it is still id's.
func (m *Manager) releaseName(name, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == id {
		delete(m.names, name)
	}
}

// makeName makes up a name that nobody has. m.mu is held.
func (m *Manager) makeName() string {
	for try := 0; ; try++ {
		name := adjectives[random(len(adjectives))] + "_" + surnames[random(len(surnames))]
		if try >= 6 { // as Docker: then with a digit
			name += strconv.Itoa(random(10 * try))
		}
		if _, taken := m.names[name]; !taken {
			return name
		}
	}
}

func random(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0 // never: crypto/rand
	}
	return int(i.Int64())
}

// newID is 64 hexadecimal digits, of which the first twelve are no number: a host name of digits alone is none.
func newID() string {
	for {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails: crypto/rand
		id := hex.EncodeToString(b)
		if _, err := strconv.ParseInt(shortID(id), 10, 64); err != nil {
			return id
		}
	}
}

var adjectives = strings.Fields(`admiring agile amazing ardent awake beautiful blissful bold brave bright busy calm charming clever
compassionate confident cool crisp curious dazzling determined eager earnest ecstatic elastic elegant eloquent epic exciting
fervent festive flamboyant focused friendly frosty funny gallant gentle gifted goofy gracious great happy hardy hopeful hungry
inspiring intelligent jolly jovial keen kind laughing loving lucid magical modest musing mystifying naughty nervous nice nifty
nostalgic objective optimistic peaceful pensive practical quirky recursing relaxed reverent romantic serene sharp silly sleepy
stoic strange sunny suspicious sweet tender thirsty trusting upbeat vibrant vigilant vigorous wizardly wonderful xenodochial
youthful zealous zen`)

var surnames = strings.Fields(`agnesi albattani allen almeida archimedes ardinghelli babbage banach bardeen bartik bassi bell
benz bhabha black blackwell bohr boyd brahmagupta brattain brown burnell cannon carson cartwright cerf chandrasekhar chatelet
clarke colden cori cray curie curran darwin davinci dewdney dhawan diffie dijkstra dirac driscoll dubinsky easley edison einstein
elbakyan elgamal elion engelbart euclid euler faraday feistel fermat fermi feynman franklin galileo galois ganguly gates gauss
germain goldberg goldwasser golick goodall gould greider grothendieck haibt hamilton haslett hawking heisenberg hellman hermann
herschel hertz heyrovsky hodgkin hofstadter hoover hopper hugle hypatia ishizaka jackson jang jemison jennings jepsen johnson
joliot jones kalam kapitsa kare keldysh keller kepler khayyam khorana kilby kirch knuth kowalevski lalande lamarr lamport leakey
leavitt lederberg lehmann lewin lichterman liskov lovelace lumiere mahavira margulis matsumoto maxwell mayer mccarthy mcclintock
mclaren mclean mcnulty meitner mendel mendeleev meninsky merkle mestorf mirzakhani montalcini moore morse moser murdock napier
nash neumann newton nightingale nobel noether northcutt noyce panini pare pascal pasteur payne perlman pike poincare poitras
proskuriakova ptolemy raman ramanujan rhodes ride ritchie robinson roentgen rosalind rubin saha sammet sanderson satoshi shamir
shannon shaw shirley shockley shtern sinoussi snyder solomon spence stonebraker sutherland swanson swartz swirles taussig tesla
tharp thompson torvalds tu turing varahamihira vaughan villani visvesvaraya volhard wescoff wilbur wiles williams williamson wilson
wing wozniak wright wu yalow yonath zhukovsky`)
