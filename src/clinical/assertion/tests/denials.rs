//! Denials in sentences of our own, by what makes them hard: a table for each idea that `context.rules` has of them.

use super::check;

#[test]
fn words_before() {
    check(&[
        "CT was unremarkable for <hemorrhage>n.",
        "Failed to demonstrate <malignancy>n.",
        "Screening failed to disclose <tuberculosis>n.",
        "The abdomen is devoid of <masses>n.",
        "Resolution of <pneumonia>n on the film.",
        "The picture is inconsistent with <gout>n.",
        "She is not known to have <epilepsy>n.",
        "This is unlikely to represent <abscess>n.",
        "The absence of fever argues against <infection>n.",
        "Evidence against <stroke>n: normal MRI.",
        "Absent <breath sounds>n on the left.",
        "He has a negative <Murphy sign>n.",
        "Negative workup for <lupus>n.",
        "Serial negative cultures for <tuberculosis>n.",
        "Negative: <fever>n, <chills>n, <rash>n.",
        "Pertinent negatives include <hemoptysis>n and <weight loss>n.",
        "Denies: <fever>n, <chills>n.",
        "Negative for the following: <fever>n, <cough>n.",
        "(-) <fever>n, <cough>",
        "non-<smoker>n",
        "non <compliant>n",
    ]);
}

#[test]
fn words_behind() {
    check(&[
        "<Lymphadenopathy>n could not be palpated.",
        "A <source>n cannot be identified.",
        "The <effusion>n is no longer seen.",
        "<Seizures>n have not recurred.",
        "<Bleeding>n never recurred.",
        "The <seizures>n stopped.",
        "<Parvovirus>n tested negative.",
        "Blood and urine <growth>n remained negative.",
        "The <thrill>n was not documented.",
        "<HIV>n and <syphilis>n were both negative.",
        "<RPR>n nonreactive",
        "<Opioid>n-naive",
        "<Fever>n, <rash>n and <arthralgia>n were all absent.",
        "<Viral load>n is undetectable.",
        "<PE>p should be ruled out.",
        "<Endocarditis>p must be excluded.",
        "<Sepsis>p to be ruled out",
        "<PE>n could be ruled out.",
        "<MI>n had to be ruled out and was.",
    ]);
}

#[test]
fn what_looks_like_a_denial() {
    check(&[
        "vaccinated against <influenza>",
        "antibodies against <hepatitis B>",
        "protection against <measles>",
        "triple negative <breast cancer>",
        "without resolution of the <effusion>",
        "near complete resolution of the <mass>",
        "The cause is not known, <headache> persists.",
        "not uncommonly with <fever>",
        "not merely <anxiety>",
        "No unusual <lesions>n.",
        "no question that she has <gout>",
        "<pain> without trauma in a man whose symptoms have been present since a possible <infection>p",
        "not fully resolved <pneumonia>",
        "No contraindication to <anticoagulation>.",
        "no response to <steroids>",
        "No relation to <meals>.",
        "HIV negative, <hepatitis C>",
        "Non-Hodgkin <lymphoma>, <melanoma>",
        "non-pregnant (<postmenopausal>)",
        "Patients with <migraine> were excluded from the study.",
    ]);
}

/// A word that says nothing with the mention denies it where the mention is part of it.
#[test]
fn a_denied_change() {
    check(&[
        "No <change in vision>n.",
        "no <difficulty breathing>n",
        "She showed no significant <improvement>n.",
        "no <increase in sputum>n or <fever>n",
        "History of present <illness>",
        "No change in the <mass>.",
    ]);
}

#[test]
fn where_a_denial_ends() {
    check(&[
        "No fracture and multiple <contusions>.",
        "no <edema>n, mild <tenderness> of the calf",
        "No <clubbing>n, 1+ <edema>",
        "no <fever>n +<cough>",
        "no fever, positive <Homan sign>",
        "Heart: no <murmur>n Lungs: <wheezes>",
        "No augmentation of the pressure, consistent with <weakness>.",
        "no <focal deficit>n, in keeping with <migraine>",
        "absence of <abnormality>n as assessed by <MRI>",
        "Denies positive or negative <sensory findings>n.",
        "CT without contrast: <hematoma>",
        "The patient was not <improved>n and eventually died of <sepsis>.",
        "no <effusion>n and possible <consolidation>p",
        "No <nausea>n with some <dizziness>.",
        "no mild or moderate <stenosis>n",
        "no <masses>n suspicious for <cancer>n",
        "without apparent <jaundice>n",
        "There was no clinical or radiographic evidence of Epstein-Barr virus <pneumonia>n, <abscess>n, or <empyema>n.",
    ]);
}

#[test]
fn the_language_of_notes() {
    check(&[
        "He has not had a <seizure>n.",
        "She has not noticed any <blood>n in her stool.",
        "No history of <diabetes>n, <hypertension>n, or <stroke>n.",
        "There is no evidence of any <fracture>n, <dislocation>n, or <soft tissue swelling>n.",
        "<Chest pain>n: Denies.",
        "Patient denied <SI>n/<HI>n.",
        "Neck supple without <lymphadenopathy>n or <thyromegaly>n.",
        "Extremities without <clubbing>n, <cyanosis>n, or <edema>n.",
        "She was ruled out for <MI>n by enzymes.",
        "There has been no <fever>n since admission.",
        "<Fever>n has not been noted.",
        "She does not complain of <pain>n.",
        "There were no <murmurs>n, <rubs>n, or <gallops>n.",
        "Head CT: no <bleed>n.",
        "He is not having <chest pain>n.",
        "Patient has never had <asthma>n.",
        "<DVT>n was excluded by ultrasound.",
        "The patient is not <diabetic>n.",
        "nor is there <edema>n",
        "He had no further <vomiting>n after ondansetron.",
        "No <rash>n or <lesions>n other than <acne>.",
        "There is no <tenderness>n to palpation and no <guarding>n.",
        "She has no <pain>n but does have <numbness>.",
        "Colonoscopy did not show any <polyps>n.",
        "We did not find a <mass>n.",
        "She was not found to have an <infection>n.",
        "No patient complaint of <dyspnea>n.",
        "He has had no <fevers>n, has <cough>.",
        "No focal <weakness>n, sensory loss, or <ataxia>n.",
        "No <chest pain>n, shortness of breath, <palpitations>n.",
        "Without <fever>n, and with a <rash>.",
        "She has not had any <nausea>n, <vomiting>n or <diarrhea>n.",
        "never had a <heart attack>n",
        "No <mass>n, but <swelling> is present.",
        "No <pain>n at rest; <pain>c on exertion.",
        "no obvious or acute <fracture>n",
        "has no known <coronary disease>n",
        "CT: negative for <PE>n.",
        "<Pneumonia>: no <fever>n, oxygen weaned.",
        "<Chest pain>n: no. <Cough>: yes.",
        "<fever>n: none, <cough>n: no, <rash>: yes",
        "<Angina>: denies <radiation>n to the arm.",
    ]);
}
