//! Realistic streams to mutate: the stanzas that federated servers really exchange, and some odd ones.

/// Stream headers, as several servers write them.
pub(crate) const HEADERS: &[&str] = &[
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
     xmlns:db='jabber:server:dialback' from='contoso.test' to='fabrikam.test' version='1.0'>",
    "<?xml version='1.0'?><stream:stream xmlns:db='jabber:server:dialback' \
     xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server' id='6f9d2c1e' to='fabrikam.test' \
     from='contoso.test' version='1.0' xml:lang='en'>",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\" \
     xmlns=\"jabber:server\" from=\"contoso.test\" to=\"fabrikam.test\" version=\"1.0\">",
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='fabrikam.test' \
     xmlns:c='http://jabber.org/protocol/caps' xmlns:x='jabber:x:delay' xml:lang='de-CH'>",
    "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server' xmlns:m='jabber:server' \
     from='contoso.test' to='fabrikam.test' version='1.0'>",
];

/// First-level elements.
pub(crate) const ELEMENTS: &[&str] = &[
    // Chats, with markers, receipts and states.
    "<message from='ann@contoso.test/phone' to='bob@fabrikam.test' type='chat' id='a1'><body>hello</body></message>",
    "<message type=\"chat\" to=\"bob@fabrikam.test/desk\" from=\"ann@contoso.test/phone\" id=\"b7e\" \
     xml:lang=\"en\"><body>a &lt; b &amp;&amp; c &gt; d</body><active xmlns=\"http://jabber.org/protocol/chatstates\"/>\
     <request xmlns=\"urn:xmpp:receipts\"/><markable xmlns=\"urn:xmpp:chat-markers:0\"/></message>",
    "<message from='анна@contoso.test/дом' to='bob@fabrikam.test'><body>Grüße, 你好, 👋🏽 &#x1F600;&#233;</body>\
     <subject xml:lang='de'>Größe</subject></message>",
    "<message to='bob@fabrikam.test' from='ann@contoso.test/a&apos;b&quot;c'><received \
     xmlns='urn:xmpp:receipts' id='x&#38;y'/><store xmlns='urn:xmpp:hints'/></message>",
    // CDATA and quoting.
    "<message from='ann@contoso.test' to='bob@fabrikam.test'><body><![CDATA[if (a < b && c > d) { x[y[0]] }]]></body>\
     <x xmlns='u:x' a='>' b=\"'/>\" c='&lt;body&gt;'/></message>",
    // OMEMO.
    "<message from='ann@contoso.test/1' to='bob@fabrikam.test' type='chat' id='o1'><encrypted \
     xmlns='eu.siacs.conversations.axolotl'><header sid='1337'><key prekey='true' rid='31415'>MwohBfX0q1y=</key>\
     <key rid='12321'>MwohBXY=</key><iv>Zm9vYmFyYmF6</iv></header><payload>aGVsbG8gd29ybGQ=</payload></encrypted>\
     <encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl' name='OMEMO'/></message>",
    // XHTML-IM.
    "<message from='ann@contoso.test' to='bob@fabrikam.test'><body>hi</body><html \
     xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml' xml:lang='en'><p \
     style='color:red'>hi <em>you</em>&#160;<br/><a href='http://a.test/?b=1&amp;c=2'>there</a></p></body></html>\
     </message>",
    // Presence, with capabilities and avatars.
    "<presence from='ann@contoso.test/phone' to='bob@fabrikam.test'><show>away</show><status>Back at 5</status>\
     <priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://a.test' \
     ver='QgayPKawpkPSDYmwT/WM94uAlu0='/><x xmlns='vcard-temp:x:update'><photo/></x></presence>",
    "<presence type='subscribe' to='bob@fabrikam.test' from='ann@contoso.test'/>",
    "<presence\n\tfrom='ann@contoso.test/p'\r\n to='bob@fabrikam.test' type='unavailable' />",
    // Rooms.
    "<presence from='ann@contoso.test/p' to='room@conference.fabrikam.test/ann'><x \
     xmlns='http://jabber.org/protocol/muc'><history maxstanzas='20'/></x></presence>",
    "<message from='room@conference.fabrikam.test/bob' to='ann@contoso.test/p' type='groupchat' id='g9'><body>re</body>\
     <stanza-id xmlns='urn:xmpp:sid:0' id='9' by='room@conference.fabrikam.test'/><delay xmlns='urn:xmpp:delay' \
     stamp='2026-01-01T00:00:00Z' from='room@conference.fabrikam.test'/></message>",
    // Queries.
    "<iq type='get' id='d1' from='contoso.test' to='fabrikam.test'><query \
     xmlns='http://jabber.org/protocol/disco#info' node='x#y'/></iq>",
    "<iq type='result' id='d1' to='contoso.test' from='fabrikam.test'><query xmlns='http://jabber.org/protocol/disco#info'>\
     <identity category='server' type='im' name='Prosody'/><feature var='urn:xmpp:ping'/><feature var='vcard-temp'/>\
     <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>u</value></field></x></query></iq>",
    "<iq id='p1' type='set' to='pubsub.fabrikam.test' from='ann@contoso.test/p'><pubsub \
     xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:avatar:data'><item id='x'><data \
     xmlns='urn:xmpp:avatar:data'>iVBORw0KGgo=</data></item></publish></pubsub></iq>",
    "<iq type='error' id='e1' to='ann@contoso.test/p' from='fabrikam.test'><ping xmlns='urn:xmpp:ping'/><error \
     type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text \
     xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no</text></error></iq>",
    // Negotiation, in the header's prefixes.
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls><dialback \
     xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>",
    "<db:result from='contoso.test' to='fabrikam.test'>1e701f120f66824b57303384e83b51feba858024</db:result>",
    "<db:verify from='fabrikam.test' to='contoso.test' id='D60' type='valid'/>",
    "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    // Odd but right: prefixes everywhere, shadowed, unused, the empty namespace, names of other scripts.
    "<m:message xmlns:m='jabber:server' xmlns='urn:other' from='ann@contoso.test' to='bob@fabrikam.test'><m:body>x\
     </m:body><body>y</body></m:message>",
    "<message xmlns:a='u:a' xmlns:b='u:b' a:x='1' b:x='2' x='3' from='ann@contoso.test' to='bob@fabrikam.test'>\
     <a:y xmlns:a='u:c' a:x='4'/><a:y/><z xmlns='' b:z=''/></message>",
    "<iq xmlns='jabber:server' xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:space='preserve' type='get' \
     from='a' to='b' id='&#x9;&#10; '><été xmlns='u:é'><名前/><_x-1.y·/></été></iq>",
    "<message from='ann@contoso.test' to='bob@fabrikam.test'><db:x db:y='1'/><stream:z/>]] &gt; ]&#93;&gt;\
     <q xmlns='u'>\r\n\t\r</q></message >",
];
