"""Headers of tables in German, French, Spanish, Portuguese and Italian, in English words.

A header is looked up as a whole first, then word by word; words that are not in the lists stay as
they are. Accents do not count, and German umlauts may be written as two letters.
"""

import re
import unicodedata
from typing import Final

_HUMP: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_MAX_LENGTH: Final = 80
"""Characters of a header that may be one; longer ones are prose."""

# fmt: off
_PHRASES: Final = {
    "first_seen": (
        "erstmals_gesehen erstmalig_gesehen zuerst_gesehen erste_sichtung erstsichtung "
        "vu_la_premiere_fois premiere_observation premiere_apparition premiere_detection "
        "primera_vez_visto visto_por_primera_vez primera_aparicion primera_deteccion "
        "primeira_vez_visto visto_pela_primeira_vez primeira_aparicao primeira_deteccao "
        "prima_osservazione visto_la_prima_volta"
    ),
    "last_seen": (
        "zuletzt_gesehen letztmals_gesehen letzte_sichtung vu_la_derniere_fois "
        "derniere_observation derniere_apparition derniere_detection ultima_vez_visto "
        "visto_por_ultima_vez ultima_aparicion ultima_deteccion visto_pela_ultima_vez "
        "ultima_aparicao ultima_deteccao ultima_osservazione"
    ),
    "valid_until": (
        "gultig_bis gueltig_bis ablaufdatum lauft_ab laeuft_ab valide_jusqu_au valable_jusqu_au "
        "expire_le date_d_expiration valido_hasta fecha_de_expiracion fecha_de_vencimiento "
        "valido_ate expira_em data_de_expiracao valido_fino_a"
    ),
    "confidence": (
        "vertrauensstufe vertrauenswert vertrauensniveau niveau_de_confiance "
        "nivel_de_confianza nivel_de_confianca grau_de_confianca livello_di_fiducia"
    ),
    "ip_address": (
        "ip_adresse ip_adressen adresse_ip adresses_ip direccion_ip direcciones_ip endereco_ip "
        "enderecos_ip indirizzo_ip ipadresse"
    ),
    "domain": "nom_de_domaine nombre_de_dominio nome_de_dominio nome_di_dominio domanenname "
              "domaenenname",
    "hostname": "rechnername nom_d_hote nombre_de_host nome_do_host nome_host",
    "file_name": (
        "dateiname nom_de_fichier nom_du_fichier nombre_de_archivo nombre_del_archivo "
        "nome_do_arquivo nome_do_ficheiro nome_del_file"
    ),
    "hash": "prufsumme pruefsumme hashwert somme_de_controle suma_de_verificacion",
    "email": "correo_electronico courriel adresse_mail adresse_de_courriel",
    "malware": (
        "schadsoftware schadprogramm logiciel_malveillant maliciel programa_malicioso "
        "software_malicioso software_maligno"
    ),
    "malware_family": (
        "malwarefamilie malware_familie famille_de_malware familia_de_malware famiglia_malware"
    ),
    "malicious_address": "schadadresse schadadressen",
    "malicious_domain": "schaddomain schaddomane schaddomaene",
    "malicious_url": "schadurl schad_url",
    "src_ip": "quelladresse quellip quell_ip",
    "dst_ip": "zieladresse zielip ziel_ip",
    "reporter": "meldende_stelle",
}
_WORDS: Final = {
    "address": "adresse adressen adresses direccion direcciones endereco enderecos indirizzo",
    "attacker": "angreifer angreifende attaquant atacante aggressore attaccante",
    "category": "kategorie categorie categoria",
    "comment": (
        "kommentar bemerkung bemerkungen anmerkung notiz commentaire commentaires remarque "
        "comentario comentarios observaciones observacoes commento"
    ),
    "confidence": "vertrauen konfidenz confiance confianza confianca fiducia",
    "contact": "kontakt ansprechpartner contacto contato contatto",
    "country": "land pays pais paese",
    "description": "beschreibung descripcion descricao descrizione",
    "domain": "domane domaene domanen domaenen domaine domaines dominio dominios domini",
    "dst": "ziel cible destino destinazione",
    "family": "familie famille familia famiglia",
    "file": "datei fichier archivo arquivo ficheiro",
    "hash": "empreinte condensat",
    "indicator": (
        "indikator indikatoren indicateur indicateurs indicador indicadores indicatore indicatori"
    ),
    "internal": "interne interner internes interno interna",
    "link": "verweis lien enlace ligacao collegamento",
    "malicious": (
        "bosartig bosartige boesartig boesartige schadlich schaedlich malveillant malveillante "
        "malicioso maliciosa malevolo malevola"
    ),
    "netmask": "netzmaske masque mascara",
    "network": "netz netzwerk reseau rede rete",
    "our": "unser unsere unserer notre nos nuestro nuestra nosso nossa nostro nostra",
    "own": "eigen eigene eigener eigenes",
    "owner": "besitzer eigentumer eigentuemer proprietaire propietario proprietario",
    "provider": "anbieter fournisseur proveedor provedor fornitore",
    "recipient": "empfanger empfaenger destinataire destinatario",
    "reference": "referenz referencia riferimento",
    "reporter": "melder rapporteur informante segnalatore",
    "reported": "gemeldet signale reportado segnalato",
    "sensor": "capteur sensore",
    "source": "quelle quellen fuente fonte",
    "src": "origen origem origine",
    "tags": "schlagworte schlagworter schlagwoerter stichworte etiquetas etiquettes etichette",
    "type": "typ tipo",
    "value": "wert valeur valor valore",
    "victim": "opfer victime victima vitima vittima",
}
# fmt: on
_ENGLISH: Final = {
    word: english
    for lists in (_WORDS, _PHRASES)
    for english, words in lists.items()
    for word in words.split()
}  # fmt: skip


def english_header(name: str) -> str:
    """A header in English words between underscores; one that has none of the words as it is."""
    if not name or len(name) > _MAX_LENGTH:
        return name
    words = [word for word in re.split(r"[\W_]+", _folded(name)) if word]
    phrase = "_".join(words)
    if phrase in _ENGLISH:
        return _ENGLISH[phrase]
    if _ENGLISH.keys().isdisjoint(words):
        return name
    return "_".join(_ENGLISH.get(word, word) for word in words)


def _folded(name: str) -> str:
    """A header in small letters of ASCII, as far as its letters have such a form."""
    if name.isascii():
        return _HUMP.sub("_", name).lower()
    parts = unicodedata.normalize("NFKD", _HUMP.sub("_", name).replace("\u00df", "ss"))
    return "".join(sign for sign in parts if not unicodedata.combining(sign)).lower()
